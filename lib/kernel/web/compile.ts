// What taking types away is not enough for, on a page: TypeScript's own compiler, in the worker that knows types.
import type { Compile } from "../cell/cell.ts";
import { CellSyntaxError } from "../cell/code.ts";
import { tidy } from "../cell/tidy.ts";
import type { Transpiled } from "../types/transpile.ts";
import type { Language } from "./language.ts";

const needs =
  "enums, namespaces with values, decorators, using, parameter properties, <T>x and JSX need TypeScript's compiler";

/** A compiler of cells; without a language service each cell that takes one is refused with the reason. */
export function compiler(language: Language | undefined): Compile {
  return async (text, place, options) => {
    const refuse = (message: string, line = 0, column = 0): never => {
      const [cellLine, cellColumn] = place(line, column);
      throw new CellSyntaxError(message, cellLine + 1, cellColumn + 1);
    };
    if (!language) return refuse(`${needs}, and this kernel was started without one`);
    const { javascript, jsxSettings, experimentalDecorators, useDefineForClassFields } = options;
    const told = { javascript, jsxSettings, experimentalDecorators, useDefineForClassFields };
    const { code, mappings, trouble } = await language
      .transpile(text, told)
      .catch(({ message }: Error): Transpiled => refuse(`${needs}, which could not be had: ${message}`));
    if (trouble) refuse(trouble.message, trouble.line, trouble.column);
    return tidy(code, { mappings, names: [] }, text, place, options);
  };
}
