// What ties a long experiment's result to the cell that measures it: a hash of what the cell does, not of how it is laid out.
import { createHash } from "node:crypto";
import { parse } from "@babel/parser";
import * as esbuild from "esbuild";

/** What of a cell measures: all to the end of its last long run. What follows only shows what was found. */
function measuringPart(source: string): string {
  const { program } = parse(source, {
    sourceType: "module",
    plugins: ["typescript"],
    allowAwaitOutsideFunction: true,
  });
  const ends = program.body
    .map(({ start, end }) => [start!, end!])
    .filter(([start, end]) => /\blongRun\(/.test(source.slice(start, end)))
    .map(([, end]) => end);
  return ends.length > 0 ? source.slice(0, Math.max(...ends)) : source;
}

/**
 * SHA-256 of what measures in a cell, without comments, types and line breaks: laying a cell out anew, or showing its
 * result in another way, measures nothing new.
 */
export async function cellHash(source: string): Promise<string> {
  const { code } = await esbuild.transform(measuringPart(source), {
    ...{ loader: "ts", format: "esm", target: "esnext", minifyWhitespace: true },
    // What later cells use must not be dropped as unused.
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
  });
  return createHash("sha256").update(code).digest("hex");
}
