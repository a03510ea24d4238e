// From a TypeScript cell to JavaScript for V8's REPL mode.
//
// V8 lets a later script redeclare a `let` or a class as a `let` or a class again, and nothing else: `const` over
// `let`, or a function over either, is a SyntaxError. So every name that a cell declares at its top level becomes
// a `let` (or stays a class), and a redefinition always works whatever the name was before. TypeScript still sees
// the cell as written, so assigning to a `const` is still reported.
//
// One parse finds names, imports, exports and types, and all edits are made on the cell's text. Where that is not
// enough (enums, decorators, what the running Node lacks), esbuild compiles the edited TypeScript.
import { type CellOptions, codeOf } from "./cell.ts";
import type { CellCode } from "./code.ts";
import { compile } from "./compile.ts";
import { classOptions } from "./tsconfig.ts";

export { CellSyntaxError } from "./code.ts";
export { CellNames, ownName } from "./names.ts";
export { completeness } from "./syntax.ts";
export { classOptions } from "./tsconfig.ts";

export interface TransformCellOptions extends Omit<CellOptions, "inFunction"> {
  /** The notebook's folder, whose tsconfig.json may ask for experimental decorators. Default: the working directory. */
  folder?: string;
}

/** Warms what every cell goes through, so that the first cell does not wait for it. */
export async function warmTransform(): Promise<void> {
  await transformCell("const warm: number = await Promise.resolve(1)", { name: "warm" });
}

/** Turns a cell into JavaScript for V8's REPL mode: see `codeOf`. */
export function transformCell(source: string, options: TransformCellOptions): Promise<CellCode> {
  return codeOf(source, { ...classOptions(options.folder ?? process.cwd()), ...options }, compile);
}
