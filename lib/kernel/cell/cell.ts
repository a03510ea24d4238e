// From a TypeScript cell to JavaScript, as far as no machine is needed: read, rewritten, its types taken out. Where taking
// their text away is not enough, a compiler is called, which who calls this brings along.
import type { CellCode, SourceMap } from "./code.ts";
import { withoutData } from "./data.ts";
import type { RewriteOptions } from "./draft.ts";
import { editedText, type PlaceInSource, wordMap } from "./edits.ts";
import { rewriteCell } from "./rewrite.ts";
import { parseCell } from "./syntax.ts";
import type { CompileOptions } from "./tidy.ts";
import { resultName } from "./words.ts";

/** Compiles a cell's edited text; the map leads to the cell by way of `place`. */
export type Compile = (
  text: string,
  place: PlaceInSource,
  options: CompileOptions,
) => Promise<{ code: string; map: SourceMap }>;

export interface CellOptions extends RewriteOptions {
  /** The cell's name in stack traces and in the source map. */
  name: string;
}

/**
 * Turns a cell into JavaScript, with a source map back to the cell: for V8's REPL mode, or as the body of a function.
 * Imports become calls of `__slimlab_import(specifier, attributes?)`, `import.meta` becomes `__slimlab_meta`, and what
 * has waited asks `__slimlab_go` whether it may go on.
 * @throws CellSyntaxError with line, column and code frame.
 */
export async function codeOf(source: string, options: CellOptions, compile: Compile): Promise<CellCode> {
  const cell = rewriteCell(source, parseCell(source, options), options);
  const { compiles, edits, mergedNames, jsx } = cell;
  const { text, place } = editedText(source, edits, cell);
  let code = text;
  let map: SourceMap;
  // (Data has no places that an error or a breakpoint could have.)
  if (!compiles) map = wordMap(editedText(withoutData(source).text, edits, cell).text, place);
  else {
    const settings = { ...options, mergedNames, block: cell.lowered, jsxSettings: jsx?.compiled };
    ({ code, map } = await compile(text, place, settings));
  }
  map.mappings = `;${map.mappings}`;
  map.sources = [options.name];
  map.sourcesContent = [source];
  return {
    code: `${cell.firstLine}\n${code}${options.inFunction ? `\n;return ${resultName};` : ""}`,
    map,
    declared: cell.declared,
    references: cell.references,
    showsResult: cell.showsResult,
    isObject: cell.isObject,
    initialized: cell.initialized,
    deferred: cell.deferred,
    reset: cell.reset,
    isAmbient: cell.isAmbient,
    ambientModules: cell.ambientModules,
    globalInterfaces: cell.globalInterfaces,
    jsx: jsx && { places: jsx.places, settings: jsx.settings },
  };
}
