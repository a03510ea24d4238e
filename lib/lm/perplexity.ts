// §4.4: how surprised a language model is by a text: perplexity is e to the mean of −ln p(next token), as if at each token it
// had to guess among so many equally likely ones. Differences between two models are taken text by text, which what makes one
// text harder than another leaves out of their spread.
import { checkInteger } from "../util/check.ts";
import { mean, variance } from "../util/statistics.ts";
import { logitsOneByOne, type PassOptions } from "./forward.ts";
import type { LlamaModel } from "./llama.ts";

/** Perplexity with what it was computed from. */
export interface Perplexity {
  perplexity: number;
  /** Mean of −ln p of the next token, in nats. */
  loss: number;
  /** The same of each text. */
  losses: Float64Array;
  /** Tokens that were guessed: one less than a text has, for each. */
  tokens: number;
}

/** Token numbers cut into texts of the same length; what is left at the end is left out. */
export function textsOf(tokens: ArrayLike<number>, length: number): Uint32Array[] {
  checkInteger("length", length, 2);
  const texts = Array.from({ length: Math.floor(tokens.length / length) }, (_, i) =>
    Uint32Array.from({ length }, (_, t) => tokens[i * length + t]),
  );
  if (texts.length === 0) throw new RangeError(`tokens must be at least ${length}, got ${tokens.length}`);
  return texts;
}

/**
 * Perplexity of texts, computed here, a block at a time.
 *
 * @param texts token numbers, all of the same length, each read from its beginning without what went before
 */
export async function perplexityOf(
  model: LlamaModel,
  texts: readonly Uint32Array[],
  options: PassOptions = {},
): Promise<Perplexity> {
  const losses: number[] = [];
  for await (const logits of logitsOneByOne(model, texts, options))
    losses.push(meanLoss(logits, texts[losses.length], model.config.vocabulary));
  return perplexityFrom(losses, texts[0].length - 1);
}

/** The sum of what texts of the same length lose. */
export function perplexityFrom(losses: ArrayLike<number>, guesses: number): Perplexity {
  const own = Float64Array.from(losses);
  const loss = own.reduce((sum, value) => sum + value, 0) / own.length;
  return { perplexity: Math.exp(loss), loss, losses: own, tokens: own.length * guesses };
}

/** Mean of −ln softmax(logits)[next token] over a text. */
export function meanLoss(logits: Float32Array, text: Uint32Array, vocabulary: number): number {
  let total = 0;
  for (let t = 0; t + 1 < text.length; t++) {
    const row = logits.subarray(t * vocabulary, (t + 1) * vocabulary);
    let top = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < vocabulary; i++) if (row[i] > top) top = row[i];
    let sum = 0;
    for (let i = 0; i < vocabulary; i++) sum += Math.exp(row[i] - top);
    total += Math.log(sum) + top - row[text[t + 1]];
  }
  return total / (text.length - 1);
}

/** How much more one model loses than another on the same texts, in nats a token. */
export interface LossDifference {
  mean: number;
  /** 95 % interval of the mean over texts like these, by Student's t. */
  low: number;
  high: number;
  texts: number;
}

/**
 * The difference of two models' losses, text by text, with its interval.
 * @throws RangeError for fewer than two texts, or another number of them
 */
export function lossDifference(first: Perplexity, second: Perplexity): LossDifference {
  const { losses } = first;
  const texts = losses.length;
  if (texts < 2 || second.losses.length !== texts)
    throw new RangeError(
      `texts must be the same, and two at least, got ${texts} and ${second.losses.length}`,
    );
  const each = Array.from(losses, (loss, i) => second.losses[i] - loss);
  const middle = mean(each);
  const half = studentT(texts - 1) * Math.sqrt(variance(each) / texts);
  return { mean: middle, low: middle - half, high: middle + half, texts };
}

/** The 97.5 % quantile of Student's t, by Hill's expansion around the normal's (within 0.5 % from 3 degrees on). */
function studentT(degrees: number): number {
  const exact = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706];
  if (degrees <= exact.length) return exact[degrees - 1];
  const z = 1.959964;
  return (
    z +
    (z ** 3 + z) / (4 * degrees) +
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * degrees ** 2) +
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * degrees ** 3)
  );
}
