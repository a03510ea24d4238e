// The project that cells belong to, and the names of the documents in it that exist only in the server's memory.

export const prefix = "__slimlab";
export const configName = "tsconfig.__slimlab.json";
export const globalsName = `${prefix}_globals.d.ts`;
export const ambientName = `${prefix}_ambient.d.ts`;

/**
 * Documents of cells: one that is checked, all cells as one text, one that is being written. Each has its own list of imports,
 * which hardly changes: where it does, a server builds its program anew.
 */
export const cellKinds = ["cell", "whole", "edit"] as const;
export type CellKind = (typeof cellKinds)[number];

/** The document of a kind. */
export function documentOf(kind: string): string {
  return `${prefix}_${kind}.ts`;
}

/** The documents of cells with JSX, for there `<T>x` is no cast; each way of compiling it has its own. */
export function jsxDocumentOf(kind: CellKind, way: number): string {
  return `${prefix}_${kind}_jsx${way}.tsx`;
}

export interface ProjectSettings {
  /** What a cell has said of strictness. */
  isStrict?: boolean;
  /** Ways of compiling JSX that cells have had: their documents belong to the project. */
  jsx: number;
  /** Whether there is a document of what cells will import. */
  hasAhead?: boolean;
}

/** The files of cells' project that are documents. */
export function documentsOf({ jsx, hasAhead }: ProjectSettings): string[] {
  const files = [...cellKinds.map(documentOf), globalsName, ambientName];
  if (hasAhead) files.push(documentOf("ahead"));
  for (let way = 0; way < jsx; way++) files.push(...cellKinds.map((kind) => jsxDocumentOf(kind, way)));
  return files;
}

/** Settings that are cells' own, whatever a folder's tsconfig.json says: its others make no sense between cells. */
export const ownOptions: Record<string, unknown> = {
  target: "esnext",
  module: "preserve",
  moduleResolution: "bundler",
  moduleDetection: "force",
  allowImportingTsExtensions: true,
  resolveJsonModule: true,
  allowJs: true,
  checkJs: false,
  noEmit: true,
  skipLibCheck: true,
  isolatedModules: false,
  verbatimModuleSyntax: false,
  erasableSyntaxOnly: false,
  isolatedDeclarations: false,
  composite: false,
  incremental: false,
  declaration: false,
  declarationMap: false,
  // A project's own package name then means its built types, which belong to the code that runs.
  rootDir: null,
  outDir: null,
  declarationDir: null,
  noUnusedLocals: false,
  noUnusedParameters: false,
};
