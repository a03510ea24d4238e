// From a TypeScript cell to JavaScript for V8's REPL mode.
//
// V8 lets a later script redeclare a `let` or a class as a `let` or a class again, and nothing else: `const` over
// `let`, or a function over either, is a SyntaxError. So every name that a cell declares at its top level becomes
// a `let` (or stays a class), and a redefinition always works whatever the name was before. TypeScript still sees
// the cell as written, so assigning to a `const` is still reported.
//
// One parse finds names, imports, exports and types, and all edits are made on the cell's text. Where that is not
// enough (enums, decorators, what the running Node lacks), esbuild compiles the edited TypeScript.
import type { Message, TransformOptions } from "esbuild";
import { type CellCode, CellSyntaxError, type SourceMap } from "./code.ts";
import { editedText, type PlaceInSource, shiftMap, wordMap } from "./edits.ts";
import { CellRewriter, ownName } from "./rewrite.ts";
import { parseCell, type SyntaxOptions } from "./syntax.ts";
import { type ClassOptions, classOptions } from "./tsconfig.ts";

export { CellSyntaxError } from "./code.ts";
export { isNodes, ownName } from "./rewrite.ts";
export { completeness } from "./syntax.ts";

export interface TransformCellOptions extends SyntaxOptions, ClassOptions {
  /** The cell's name in stack traces and in the source map. */
  name: string;
  /** The notebook's folder, whose tsconfig.json may ask for experimental decorators. Default: the working directory. */
  folder?: string;
  /** Names that earlier cells have declared although Node has them as globals: see `isNodes`. */
  ownGlobals?: ReadonlySet<string>;
  /** Have esbuild take the types out even where taking their text away is enough: the two must agree. */
  compile?: boolean;
}

const nodeTarget = `node${process.versions.node.split(".").slice(0, 2).join(".")}`;

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
  const tree = parseCell(source, options);
  const cell = new CellRewriter(source, tree, options);
  cell.rewrite();
  const renamed: Record<string, string> = {};
  for (const name of cell.ownGlobals) renamed[name] = ownName(name);
  for (const name of options.ownGlobals ?? []) {
    if (cell.references.has(name)) renamed[name] = ownName(name);
  }
  const compiles =
    options.compile ||
    Object.keys(renamed).length > 0 ||
    cell.lowered ||
    cell.types.needsCompiler ||
    (cell.types.found && options.useDefineForClassFields === false);
  const edits = compiles ? cell.edits : cell.edits.concat(cell.types.edits);
  const { text, place } = editedText(source, edits, cell.head, cell.block);
  let code = text;
  let map: SourceMap;
  let lead = ";";
  if (!compiles) map = wordMap(text, place);
  else {
    let result: { code: string; map: string };
    try {
      // Most cells need no compiler, so it starts with the first that does.
      const { transform } = await import("esbuild");
      result = await transform(text, { ...esbuildOptions(options), define: renamed });
    } catch (error) {
      throw fromEsbuild(error, place);
    }
    code = result.code;
    map = shiftMap(JSON.parse(result.map) as SourceMap, place);
    // esbuild declares enums and namespaces with `var`, which clashes with an earlier `let`: the first line declares them.
    for (const name of cell.mergedNames) {
      code = code.replaceAll(new RegExp(`^var (${escaped(name)})\\b`, "gm"), "    $1");
    }
    if (cell.lowered) {
      // esbuild's helpers and temporaries (`_init`) belong to this cell: a block keeps them from the next cell's.
      code = `{\n${code.replaceAll(/^var (_[\w$]*)/gm, "let $1")}\n}`;
      lead = ";;";
    }
  }
  map.mappings = lead + map.mappings;
  map.sources = [options.name];
  map.sourcesContent = [source];
  return {
    code: `${cell.firstLine}\n${code}`,
    map,
    declared: cell.declared,
    references: cell.references,
    showsResult: cell.showsResult,
  };
}

function esbuildOptions(options: TransformCellOptions): TransformOptions & { sourcemap: "external" } {
  return {
    loader: options.javascript ? "js" : "ts",
    target: nodeTarget,
    sourcemap: "external",
    sourcesContent: false,
    treeShaking: false,
    charset: "utf8",
    logLevel: "silent",
    supported: { "top-level-await": true },
    tsconfigRaw: {
      compilerOptions: {
        verbatimModuleSyntax: true,
        experimentalDecorators: options.experimentalDecorators ?? false,
        useDefineForClassFields: options.useDefineForClassFields ?? true,
      },
    },
  };
}

function escaped(name: string): string {
  return name.replaceAll("$", "\\$");
}

function fromEsbuild(error: unknown, place: PlaceInSource): unknown {
  const message = (error as { errors?: Message[] }).errors?.[0];
  if (!message?.location) return error;
  // esbuild counts columns in UTF-8 bytes.
  const { line, column, lineText } = message.location;
  const units = Buffer.from(lineText).subarray(0, column).toString().length;
  const [cellLine, cellColumn] = place(line - 1, units);
  return new CellSyntaxError(message.text, cellLine + 1, cellColumn + 1);
}
