// From a TypeScript cell to JavaScript for V8's REPL mode.
//
// V8 lets a later script redeclare a `let` or a class as a `let` or a class again, and nothing else: `const` over
// `let`, or a function over either, is a SyntaxError. So every name that a cell declares at its top level becomes
// a `let` (or stays a class), and a redefinition always works whatever the name was before. TypeScript still sees
// the cell as written, so assigning to a `const` is still reported.
//
// One parse finds names, imports, exports and types, and all edits are made on the cell's text. Where that is not
// enough (enums, decorators, what the running Node lacks), esbuild compiles the edited TypeScript.
import type { CellCode, SourceMap } from "./code.ts";
import { compile } from "./compile.ts";
import { editedText, wordMap } from "./edits.ts";
import type { CellNames } from "./names.ts";
import { CellRewriter } from "./rewrite.ts";
import { parseCell, type SyntaxOptions } from "./syntax.ts";
import { type ClassOptions, classOptions } from "./tsconfig.ts";

export { CellSyntaxError } from "./code.ts";
export { CellNames, ownName } from "./names.ts";
export { completeness } from "./syntax.ts";

export interface TransformCellOptions extends SyntaxOptions, ClassOptions {
  /** The cell's name in stack traces and in the source map. */
  name: string;
  /** The notebook's folder, whose tsconfig.json may ask for experimental decorators. Default: the working directory. */
  folder?: string;
  /** What earlier cells have declared. */
  names?: CellNames;
  /** Have esbuild take the types out even where taking their text away is enough: the two must agree. */
  compile?: boolean;
}

/** Warms what every cell goes through, so that the first cell does not wait for it. */
export async function warmTransform(): Promise<void> {
  await transformCell("const warm: number = await Promise.resolve(1)", { name: "warm" });
}

/**
 * Turns a cell into JavaScript for V8's REPL mode, with a source map back to the cell.
 * Imports become calls of `__slimlab_import(specifier, attributes?)`, `import.meta` becomes `__slimlab_meta`, and what
 * has waited asks `__slimlab_go` whether it may go on.
 * @throws CellSyntaxError with line, column and code frame.
 */
export async function transformCell(source: string, options: TransformCellOptions): Promise<CellCode> {
  options = { ...classOptions(options.folder ?? process.cwd()), ...options };
  const cell = new CellRewriter(source, parseCell(source, options), options);
  cell.rewrite();
  const { compiles, lowered, mergedNames, initialized } = cell;
  const edits = compiles ? cell.edits : cell.edits.concat(cell.types.edits);
  const { text, place } = editedText(source, edits, cell);
  let code = text;
  let map: SourceMap;
  if (!compiles) map = wordMap(text, place);
  else ({ code, map } = await compile(text, place, { ...options, mergedNames, block: lowered }));
  map.mappings = `;${map.mappings}`;
  map.sources = [options.name];
  map.sourcesContent = [source];
  return {
    code: `${cell.firstLine}\n${code}`,
    map,
    declared: cell.declared,
    references: cell.references,
    showsResult: cell.showsResult,
    isObject: cell.isObject,
    initialized,
    deferred: cell.deferred,
    isAmbient: cell.isAmbient,
    ambientModules: cell.ambientModules,
  };
}
