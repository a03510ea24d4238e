// What a cell becomes and what it tells of itself: the words that transform, editing, types and debugger share.

import type { JsxSettings } from "./jsx.ts";

export type DeclaredKind =
  | "let"
  | "const"
  | "var"
  | "function"
  | "class"
  | "enum"
  | "namespace"
  | "type"
  | "interface"
  | "import";

/** A name that a cell declares at its top level. */
export interface Declared {
  name: string;
  kind: DeclaredKind;
  /** The name has a value at run time. An import may turn out to be a type only; it counts as a value. */
  value: boolean;
  /** The name can stand where a type is expected. */
  type: boolean;
  /** The cell itself exports the name, under this name. */
  exported: boolean;
  /** Where the name stands in the cell, as a UTF-16 offset. */
  start: number;
  /** Where declarations of it stand that a later cell may add to. */
  places: [start: number, end: number][];
  /** The cell adds to what an earlier cell has declared under this name. */
  adds: boolean;
  /** The export of one's own module that an import is: the module may give it another value, which cells then see. */
  live?: string;
  /** The name is a property of the global object, and no variable of V8's. */
  isProperty?: boolean;
}

/** A cell ready to run: what `Runtime.evaluate` with `replMode` takes. */
export interface CellCode {
  /** JavaScript for V8's REPL mode. */
  code: string;
  /** Source map (version 3) from `code` to the cell's TypeScript. */
  map: SourceMap;
  /** Names declared at the top level. */
  declared: Declared[];
  /** Identifiers that the cell mentions and does not declare at its top level. */
  references: Set<string>;
  /** The last statement is an expression, or has one at its end, so its value is the cell's result. */
  showsResult: boolean;
  /** The cell is one object literal, which a checker would take for a block. */
  isObject: boolean;
  /** Names that have a value before the cell's own first statement runs. */
  initialized: string[];
  /** Ranges whose code runs later than the cell, if at all: functions' and methods' bodies, in order. */
  deferred: [start: number, end: number][];
  /** For a function's body: names that must be properties of the global object, undefined, before it runs. */
  reset: string[];
  /** The cell says something of types everywhere (`declare global`, `declare module`), names of its own or not. */
  isAmbient: boolean;
  /** Where the cell's `declare module "name"`s stand. */
  ambientModules: [start: number, end: number][];
  /** Where interfaces stand that add to the language's own, as they would in a script: see language-types.ts. */
  globalInterfaces: [start: number, end: number][];
  /** Where JSX stands, outermost first to last, and how it is compiled. */
  jsx?: { places: [start: number, end: number][]; settings: JsxSettings };
}

export interface SourceMap {
  version: 3;
  sources: string[];
  sourcesContent: string[];
  names: string[];
  mappings: string;
}

/** The cell is not TypeScript (or JavaScript) that can be read. */
export class CellSyntaxError extends SyntaxError {
  override name = "SyntaxError";
  /** 1-based line in the cell. */
  line: number;
  /** 1-based column in the line, in UTF-16 units. */
  column: number;
  constructor(message: string, line: number, column: number) {
    super(message);
    this.line = line;
    this.column = column;
  }
}
