// TypeScript's own compiler, for a cell that takes one where esbuild cannot run.
import type ts from "typescript-js";
import type { CompileOptions } from "../cell/tidy.ts";

/** What a compiler is told of a cell, as a message holds it. */
export type TranspileOptions = Pick<
  CompileOptions,
  "javascript" | "jsxSettings" | "experimentalDecorators" | "useDefineForClassFields"
>;

export interface Transpiled {
  code: string;
  mappings: string;
  /** What is wrong with its syntax; line and column count from 0. */
  trouble?: { message: string; line: number; column: number };
}

/** Compiles a text for browsers of today: decorators and `using`, which they lack, become calls. */
export function transpile(typescript: typeof ts, text: string, options: TranspileOptions): Transpiled {
  const jsx = options.jsxSettings;
  const { JsxEmit, ModuleKind, ScriptTarget } = typescript;
  const { outputText, sourceMapText, diagnostics } = typescript.transpileModule(text, {
    fileName: `cell.${options.javascript ? "js" : "ts"}${jsx ? "x" : ""}`,
    reportDiagnostics: true,
    compilerOptions: {
      target: ScriptTarget.ES2022,
      module: ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      allowJs: true,
      sourceMap: true,
      experimentalDecorators: options.experimentalDecorators ?? false,
      useDefineForClassFields: options.useDefineForClassFields ?? true,
      ...(jsx &&
        (jsx.runtime === "automatic"
          ? { jsx: JsxEmit.ReactJSX, jsxImportSource: jsx.source }
          : { jsx: JsxEmit.React, jsxFactory: jsx.factory, jsxFragmentFactory: jsx.fragment })),
    },
  });
  const code = outputText.replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "");
  const { mappings } = JSON.parse(sourceMapText ?? '{ "mappings": "" }') as { mappings: string };
  const found = diagnostics?.find(({ file, start }) => file && start !== undefined);
  if (!found) return { code, mappings };
  const { line, character } = found.file!.getLineAndCharacterOfPosition(found.start!);
  const message = typescript.flattenDiagnosticMessageText(found.messageText, "\n");
  return { code, mappings, trouble: { message, line, column: character } };
}
