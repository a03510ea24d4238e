// §4.4: texts as token numbers and back, by the tokenizer that a GGUF file describes. The work is done by
// @huggingface/tokenizers, an optional peer; what is here turns a file's metadata into what that package reads.
import type { GgufFile, GgufValue } from "../formats/index.ts";
import { shown } from "../util/check.ts";

/** Texts to token numbers and back. */
export interface Tokenizer {
  encode(text: string): Uint32Array;
  decode(tokens: ArrayLike<number>): string;
  vocabulary: number;
}

/** The tokenizer's package is not installed; the message says how to get it. */
export class MissingTokenizerError extends Error {
  override readonly name = "MissingTokenizerError";
  readonly code = "ERR_SLIMLAB_TOKENIZER";

  constructor(cause: unknown) {
    super(
      "@huggingface/tokenizers is not installed, which splits texts: npm install @huggingface/tokenizers",
      {
        cause,
      },
    );
  }
}

/** How texts are cut before the merges begin, by llama.cpp's name for it (tokenizer.ggml.pre). */
const digitsApart = { type: "Digits", individual_digits: true };
const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
const cuts: Record<string, object> = {
  smollm: { type: "Sequence", pretokenizers: [digitsApart, bytes] },
  "gpt-2": bytes,
};

/** A name that no bundler follows. */
const name = "@huggingface/tokenizers";

/**
 * The tokenizer of a GGUF file.
 *
 * @throws MissingTokenizerError without @huggingface/tokenizers; RangeError for a kind of tokenizer that is not supported
 */
export async function tokenizerOf({ metadata }: Pick<GgufFile, "metadata">): Promise<Tokenizer> {
  const text = (key: string): string | undefined => {
    const entry = metadata.get(`tokenizer.ggml.${key}`);
    return entry?.type === "string" ? String(entry.value) : undefined;
  };
  if (text("model") !== "gpt2")
    throw new RangeError(
      `tokenizer.ggml.model must be gpt2 (byte-level merges), got ${shown(text("model"))}`,
    );
  const cut = cuts[text("pre") ?? "gpt-2"];
  if (!cut)
    throw new RangeError(
      `tokenizer.ggml.pre must be one of ${Object.keys(cuts).join(", ")}, got ${shown(text("pre"))}`,
    );
  const tokens = list(metadata.get("tokenizer.ggml.tokens"), "tokens").map(String);
  const merges = list(metadata.get("tokenizer.ggml.merges"), "merges").map(String);
  const types = list(metadata.get("tokenizer.ggml.token_type"), "token_type").map(Number);
  const { Tokenizer } = await load();
  // 3: control tokens, such as <|im_start|>, which no text is split into.
  const special = tokens.flatMap((content, id) =>
    types[id] === 3
      ? [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }]
      : [],
  );
  const tokenizer = new Tokenizer(
    {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: special,
      normalizer: null,
      pre_tokenizer: cut,
      post_processor: null,
      decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: "BPE",
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
      },
    },
    {},
  );
  return {
    vocabulary: tokens.length,
    encode: (words) => Uint32Array.from(tokenizer.encode(words, { add_special_tokens: false }).ids),
    decode: (ids) => tokenizer.decode(Array.from(ids), { clean_up_tokenization_spaces: false }),
  };
}

function list(entry: GgufValue | undefined, what: string): readonly unknown[] {
  if (entry?.type !== "array")
    throw new RangeError(`tokenizer.ggml.${what} is missing in the file's metadata`);
  return entry.values;
}

async function load(): Promise<typeof import("@huggingface/tokenizers")> {
  try {
    return await import(name);
  } catch (error) {
    throw new MissingTokenizerError(error);
  }
}
