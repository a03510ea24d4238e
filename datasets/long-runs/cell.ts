// What ties a long experiment's result to the cell that measures it: a hash of what the cell does, not of how it is laid out.
import { createHash } from "node:crypto";
import * as esbuild from "esbuild";

/** SHA-256 of a cell's code without its comments, types and line breaks: laying a cell out anew measures nothing new. */
export async function cellHash(source: string): Promise<string> {
  const { code } = await esbuild.transform(source, {
    ...{ loader: "ts", format: "esm", target: "esnext", minifyWhitespace: true },
    // What later cells use must not be dropped as unused.
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
  });
  return createHash("sha256").update(code).digest("hex");
}
