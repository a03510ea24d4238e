// What TypeScript's service on a page knows of libraries: declarations in one file, packed where the site is built.

/** Declarations by the paths that the service knows them by. */
export interface Library {
  files: Record<string, string>;
  /** Of these, what every cell sees. */
  roots: string[];
}

/** Where the standard library's declarations are in it, and slimlab with its packages. */
export const libraryFolders = { standard: "/lib", slimlab: "/slimlab" } as const;

/** A path as the service is asked of it, and back: no file of a machine's. */
export const uriOf = (path: string): string => `file://${encodeURI(path)}`;
export const pathOf = (uri: string): string => decodeURIComponent(new URL(uri).pathname);

/** Where the worker finds both, from its own script: compressed, and fetched when types are first needed. */
export const typeFiles = {
  typescript: "types/typescript.js.gz",
  declarations: "types/declarations.json.gz",
} as const;
