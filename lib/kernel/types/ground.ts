// What a language service stands on: a machine's files and TypeScript's native server, or a page and a worker.
import type { Client } from "./client.ts";
import type { ProjectSettings } from "./project.ts";

/** Watches what cells import: an edit shows in the next cell. */
export interface WatchedFiles {
  watchImports(source: string): void;
  /** Tells that files have changed. */
  changed(paths: string[]): void;
  close(): void;
}

/** What became of a file, as LSP has it. */
export interface FileChange {
  uri: string;
  /** 1 made, 2 changed, 3 gone. */
  type: 1 | 2 | 3;
}

/** A folder of the service's own, whose files its server reads without being told what is in them. */
export interface OwnFolder {
  /** With slashes. */
  readonly path: string;
  write(name: string, text: string): void;
  remove(): void;
}

export interface Ground {
  /** The notebook's folder, with slashes: where relative imports and node_modules are looked up. */
  readonly folder: string;
  /** What cells can use without an import, as declarations. */
  readonly globals: string;
  /** Starts a server. */
  connect(): Client;
  /** How long a server may take to start, in ms, and whether one that could not is tried again when it is next asked. */
  readonly starts: { within: number; again: boolean };
  uriOf(path: string): string;
  pathOf(uri: string): string;
  /** A file's text. */
  read(path: string): string | Promise<string>;
  /** The folder's own settings. */
  compilerOptions(): Record<string, unknown>;
  /** The project of cells: its tsconfig.json. */
  project(settings: ProjectSettings): object;
  watch(changed: (changes: FileChange[]) => void): WatchedFiles;
  /** @throws Error where there is none: then every module is an open document, which takes longer on a machine. */
  ownFolder(): OwnFolder;
  /** Clears away what services that were killed have left. */
  sweep(): void;
}
