// §1.1 What a language model costs, counted from its published shape: bytes, the memory that a token moves, and how many
// tokens a second a memory allows. Of the kind that Llama, Mistral and Qwen are: attention with shared keys and values, a
// gated feed-forward layer, RMS norms, no biases.
import { checkInteger, checkNumber } from "../util/check.ts";

/** The shape of a decoder, as its config.json has it. */
export interface DecoderShape {
  layers: number;
  /** Size of a token's vector (`hidden_size`). */
  width: number;
  /** Size of the feed-forward layer (`intermediate_size`). */
  hidden: number;
  heads: number;
  /** Heads that keys and values have, at most `heads`; default as many (`num_key_value_heads`). */
  keyValueHeads?: number;
  /** Numbers a head; default width / heads. */
  headWidth?: number;
  vocabulary: number;
  /** Whether the output layer is the embedding turned over; default no (`tie_word_embeddings`). */
  tied?: boolean;
}

/** How a decoder is stored, and how much it has read. */
export interface DecoderUse {
  /** Bits of a weight; default 16. Scales of groups count along: 4 bits with a float16 scale for each 32 are 4.5. */
  bits?: number;
  /** Bits of a number in the cache of keys and values; default 16. */
  cacheBits?: number;
  /** Tokens that it has read before the one that is counted; default 0. */
  context?: number;
}

/** What a decoder costs. */
export interface DecoderCost {
  parameters: number;
  /** Bytes of the weights. */
  bytes: number;
  /** Bytes that each token adds to the cache of keys and values. */
  cacheBytesPerToken: number;
  /** Bytes of the cache after `context` tokens. */
  cacheBytes: number;
  /** Bytes read from memory for one more token: every weight but those of other tokens' embeddings, and the cache. */
  bytesPerToken: number;
  /** Multiply-accumulates for one more token. */
  macsPerToken: number;
}

/**
 * Counts what a decoder costs for one more token (§1.1).
 *
 * @throws RangeError for sizes that are no decoder
 */
export function decoderCost(
  shape: DecoderShape,
  { bits = 16, cacheBits = 16, context = 0 }: DecoderUse = {},
): DecoderCost {
  const { layers, width, hidden, heads, vocabulary, tied = false } = shape;
  for (const [name, size] of Object.entries({ layers, width, hidden, heads, vocabulary }))
    checkInteger(name, size, 1);
  const keyValueHeads = checkInteger("keyValueHeads", shape.keyValueHeads ?? heads, 1, heads);
  const headWidth = checkInteger("headWidth", shape.headWidth ?? width / heads, 1);
  checkNumber("bits", bits, Number.MIN_VALUE, 32);
  checkNumber("cacheBits", cacheBits, Number.MIN_VALUE, 32);
  checkInteger("context", context, 0);
  const attention = 2 * width * headWidth * (heads + keyValueHeads);
  const matrices = layers * (attention + 3 * width * hidden);
  const norms = (2 * layers + 1) * width;
  const embedding = vocabulary * width;
  const parameters = matrices + norms + embedding * (tied ? 1 : 2);
  // Of the embedding a token needs its own row; the output layer it needs whole.
  const read = matrices + norms + embedding + (tied ? 0 : width);
  const cacheBytesPerToken = (2 * layers * keyValueHeads * headWidth * cacheBits) / 8;
  const cacheBytes = context * cacheBytesPerToken;
  return {
    parameters,
    bytes: (parameters * bits) / 8,
    cacheBytesPerToken,
    cacheBytes,
    bytesPerToken: (read * bits) / 8 + cacheBytes,
    macsPerToken: matrices + embedding + 2 * layers * heads * headWidth * context,
  };
}

/**
 * The most tokens a second that a memory allows one reader at a time: each token has to fetch `bytesPerToken` (§1.1). What
 * really comes is less.
 *
 * @param bandwidth bytes a second
 */
export function tokensPerSecond({ bytesPerToken }: DecoderCost, bandwidth: number): number {
  checkNumber("bandwidth", bandwidth, Number.MIN_VALUE);
  return bandwidth / bytesPerToken;
}
