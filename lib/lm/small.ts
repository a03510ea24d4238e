// §4.4: the small language model that ships: two blocks, trained by datasets/prose/train.ts on the workbook's own prose. It
// reads letter by letter, so it needs no tokenizer; everything else of it is as in the large ones.
import { packageFile } from "#platform";
import { checkInteger } from "../util/check.ts";
import { type LlamaConfig, type OpenLlama, openLlama } from "./llama.ts";
import { textsOf } from "./perplexity.ts";

/** Its sizes: 80,000 weights. */
export const smallConfig: LlamaConfig = {
  layers: 2,
  width: 64,
  hidden: 128,
  heads: 4,
  kvHeads: 2,
  vocabulary: 96,
  context: 128,
  epsilon: 1e-5,
  ropeBase: 10000,
  tied: true,
};

/** Opens the small model that ships. */
export function openSmallModel(): Promise<OpenLlama> {
  return openLlama(packageFile("datasets", "prose", "small.gguf"));
}

/** Letters as token numbers: 0 to 94 are ASCII's printable ones, 95 is the end of a line. */
export function lettersOf(text: string): Uint32Array {
  return Uint32Array.from(text, (letter) => {
    const code = letter === "\n" ? 127 : (letter.codePointAt(0) ?? 0);
    if (code < 32 || code > 127)
      throw new RangeError(`text must be printable ASCII and ends of lines, got ${JSON.stringify(letter)}`);
    return code - 32;
  });
}

/** Token numbers as the letters that they stand for. */
export function textOfLetters(tokens: ArrayLike<number>): string {
  return Array.from(tokens, (token) =>
    checkInteger("token", token, 0, 95) === 95 ? "\n" : String.fromCharCode(32 + token),
  ).join("");
}

/** A text as token numbers, cut into texts of the same length. */
export function letterTexts(text: string, length: number): Uint32Array[] {
  return textsOf(lettersOf(text), length);
}
