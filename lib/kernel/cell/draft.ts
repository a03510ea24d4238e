// A cell while it is rewritten: its tree and settings, the edits of its text so far, and what is known of it.
import type { Edit, Moved } from "./edits.ts";
import { TypeEraser } from "./erase.ts";
import type { JsxOptions } from "./jsx.ts";
import type { CellNames } from "./names.ts";
import { OwnNames } from "./own-names.ts";
import type { SyntaxOptions } from "./syntax.ts";
import { type CellTree, isUsing, type Node } from "./tree.ts";

export interface RewriteOptions extends SyntaxOptions, JsxOptions {
  /** What earlier cells have declared. */
  names?: CellNames;
  /** Have the compiler take the types out even where taking their text away is enough. */
  compile?: boolean;
  /** Class fields by definition, as the standard has them, or by assignment, which takes a compiler. */
  useDefineForClassFields?: boolean;
  /** The cell becomes the body of an async function, whose names are properties of the global object. */
  inFunction?: boolean;
}

export class Draft {
  readonly source: string;
  readonly tree: CellTree;
  readonly options: RewriteOptions;
  readonly names: OwnNames;
  readonly types: TypeEraser;
  readonly edits: Edit[] = [];
  /** What closes around all else that ends at the same place. */
  readonly closings: { at: number; text: string }[] = [];
  /** Pieces of the cell that move above its lines: hoisted functions. */
  readonly head: Moved[] = [];
  /** A resource lives until its cell's end, so the cell's statements stand in a block. */
  readonly block: boolean;
  readonly isStrict: boolean;

  readonly references = new Set<string>();
  /** The cell's own functions, which stand in its head. */
  readonly functions: string[] = [];
  /** Functions in blocks whose name is the whole cell's, as in scripts that are not strict. */
  readonly blockFunctions = new Set<string>();
  /** Names of the cell's functions and classes where the rewriting takes care of them. */
  readonly placedNames = new Set<Node>();
  /** Enums and namespaces, by the names that they have in V8: the compiler declares them with `var`. */
  readonly mergedNames = new Set<string>();
  /** Names that something is assigned to, in whatever scope. */
  readonly assigned = new Set<string>();
  isAmbient = false;
  readonly ambientModules: [start: number, end: number][] = [];
  readonly globalInterfaces: [start: number, end: number][] = [];

  constructor(source: string, tree: CellTree, options: RewriteOptions) {
    this.source = source;
    this.tree = tree;
    this.options = options;
    this.names = new OwnNames(tree.body, options.names);
    this.types = new TypeEraser(source);
    this.block = tree.body.some(isUsing);
    this.isStrict = !options.javascript || tree.directives.some(({ value }) => value.value === "use strict");
  }

  get inFunction(): boolean {
    return this.options.inFunction === true;
  }

  text(node: Node): string {
    return this.source.slice(node.start, node.end);
  }
  insert(at: number, text: string): void {
    this.edits.push({ start: at, end: at, text });
  }
  /** Puts `text` in place of a range and keeps the range's line breaks after it, so that later lines stay where they are. */
  replace(start: number, end: number, text: string): void {
    this.edits.push({ start, end, text: text + this.#lineBreaks(start, end) });
  }
  /** Takes a statement away. Its semicolon stays, because the statement before may rely on it. */
  blank({ start, end }: Node, moved = false): void {
    this.edits.push({ start, end, text: `;${this.#lineBreaks(start, end)}`, moved });
  }
  /** Closes a parenthesis at a statement's end, before its semicolon or with one: the next line must not go on with it. */
  close(node: Node): void {
    const isEnded = this.source.charAt(node.end - 1) === ";";
    const end = node.end - (isEnded ? 1 : 0);
    this.types.closed.add(end);
    this.closings.push({ at: end, text: isEnded ? ")" : ");" });
  }

  #lineBreaks(start: number, end: number): string {
    let breaks = "";
    for (let i = start; i < end; i++) if (this.source.charCodeAt(i) === 10) breaks += "\n";
    return breaks;
  }
}
