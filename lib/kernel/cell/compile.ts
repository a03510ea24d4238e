// TypeScript that takes a compiler, on Node: esbuild compiles it, and tidy.ts puts right what it prints.
import type { Message, TransformOptions } from "esbuild";
import { CellSyntaxError, type SourceMap } from "./code.ts";
import type { PlaceInSource } from "./edits.ts";
import { type CompileOptions, tidy } from "./tidy.ts";

const nodeTarget = `node${process.versions.node.split(".").slice(0, 2).join(".")}`;

/** Compiles a cell's edited text; the map leads to the cell by way of `place`. */
export async function compile(
  text: string,
  place: PlaceInSource,
  options: CompileOptions,
): Promise<{ code: string; map: SourceMap }> {
  // Most cells need no compiler, so it starts with the first that does.
  const { transform } = await import("esbuild");
  let result: { code: string; map: string };
  try {
    result = await transform(text, esbuildOptions(options));
  } catch (error) {
    throw fromEsbuild(error, place);
  }
  return tidy(result.code, JSON.parse(result.map) as SourceMap, text, place, options);
}

function esbuildOptions(options: CompileOptions): TransformOptions & { sourcemap: "external" } {
  const jsx = options.jsxSettings;
  return {
    loader: `${options.javascript ? "js" : "ts"}${jsx ? "x" : ""}`,
    ...(jsx && {
      jsx: jsx.runtime === "automatic" ? "automatic" : "transform",
      jsxImportSource: jsx.source,
      jsxFactory: jsx.factory,
      jsxFragment: jsx.fragment,
    }),
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

function fromEsbuild(error: unknown, place: PlaceInSource): unknown {
  const message = (error as { errors?: Message[] }).errors?.[0];
  if (!message?.location) return error;
  // esbuild counts columns in UTF-8 bytes.
  const { line, column, lineText } = message.location;
  const units = Buffer.from(lineText).subarray(0, column).toString().length;
  const [cellLine, cellColumn] = place(line - 1, units);
  return new CellSyntaxError(message.text, cellLine + 1, cellColumn + 1);
}
