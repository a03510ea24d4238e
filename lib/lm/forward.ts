// §4.4: what a language model computes, a block at a time over all texts: h := h + attention(norm(h)), then
// h := h + feed-forward(norm(h)). All texts pass a block before the next one is read, so memory holds one block's weights,
// whatever the model's size, and what goes into each matrix can be looked at on the way (GPTQ and AWQ need that).
import { MatmulWorkspace } from "../lowrank/wasm-matmul.ts";
import { checkInteger } from "../util/check.ts";
import { nextTurn } from "../util/turn.ts";
import {
  type BlockMatrix,
  blockMatrices,
  type LlamaConfig,
  type LlamaModel,
  matrixShape,
  tensorName,
} from "./llama.ts";

/** A block's weights. */
export type BlockWeights = Record<BlockMatrix | "attn_norm" | "ffn_norm", Float32Array>;

/** Is told what goes into matrices: rows of numbers, one for each token. Several matrices may read the same. */
export type OnInputs = (parts: readonly BlockMatrix[], rows: Float32Array) => void;

/** Reads a block's weights. */
export async function blockOf(model: LlamaModel, layer: number): Promise<BlockWeights> {
  const names = ["attn_norm", "ffn_norm", ...blockMatrices] as const;
  const entries: [string, Float32Array][] = [];
  for (const part of names) entries.push([part, await model.tensor(tensorName(layer, part))]);
  return Object.fromEntries(entries) as BlockWeights;
}

/** Token numbers of texts of the same length, as the first block reads them: [texts · length, width]. */
export async function embed(model: LlamaModel, texts: readonly Uint32Array[]): Promise<Float32Array> {
  const { width, vocabulary } = model.config;
  checkTexts(texts, vocabulary);
  const table = await model.tensor("token_embd.weight");
  const rows = new Float32Array(texts.length * (texts[0]?.length ?? 0) * width);
  let at = 0;
  for (const text of texts)
    for (const token of text) {
      rows.set(table.subarray(token * width, (token + 1) * width), at);
      at += width;
    }
  return rows;
}

function checkTexts(texts: readonly Uint32Array[], vocabulary: number): void {
  for (const text of texts) {
    if (text.length !== texts[0].length)
      throw new RangeError(
        `texts must have the same length, got ${texts[0].length} and ${text.length} tokens`,
      );
    for (const token of text) checkInteger("token", token, 0, vocabulary - 1);
  }
}

/**
 * One block over all texts.
 *
 * @param rows [texts · length, width]: what the block before gave; not changed
 * @param length tokens in a text
 * @returns the same shape
 */
export function runBlock(
  config: LlamaConfig,
  weights: BlockWeights,
  rows: Float32Array,
  length: number,
  onInputs: OnInputs = () => {},
): Float32Array {
  const { width, hidden, epsilon } = config;
  const result = rows.slice();
  const products = new Map(
    blockMatrices.map((name) => [name, linear(weights[name], matrixShape(config, name), length)]),
  );
  const part = (name: BlockMatrix, x: Float32Array) => products.get(name)!(x);
  // A text at a time: what lies between two matrices is never larger than one text needs.
  const size = length * width;
  for (let from = 0; from < rows.length; from += size) {
    const h = result.subarray(from, from + size);
    const x = rmsNorm(h, weights.attn_norm, epsilon);
    onInputs(["attn_q", "attn_k", "attn_v"], x);
    const attended = attention(config, part("attn_q", x), part("attn_k", x), part("attn_v", x), length);
    onInputs(["attn_output"], attended);
    addTo(h, part("attn_output", attended));
    const y = rmsNorm(h, weights.ffn_norm, epsilon);
    onInputs(["ffn_gate", "ffn_up"], y);
    const gate = part("ffn_gate", y);
    const up = part("ffn_up", y);
    for (let i = 0; i < length * hidden; i++) up[i] *= gate[i] / (1 + Math.exp(-gate[i]));
    onInputs(["ffn_down"], up);
    addTo(h, part("ffn_down", up));
  }
  return result;
}

/** x / √(mean of x² + ε) · gain, row by row. */
export function rmsNorm(rows: Float32Array, gain: Float32Array, epsilon: number): Float32Array {
  const width = gain.length;
  const out = new Float32Array(rows.length);
  for (let from = 0; from < rows.length; from += width) {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += rows[from + i] ** 2;
    const factor = 1 / Math.sqrt(sum / width + epsilon);
    for (let i = 0; i < width; i++) out[from + i] = rows[from + i] * factor * gain[i];
  }
  return out;
}

/**
 * x Wᵀ for rows x and W [outputs, inputs], in WebAssembly; the weights go there once.
 *
 * @param most the most rows that are given at once
 */
export function linear(
  weights: Float32Array,
  [outputs, inputs]: readonly [number, number],
  most: number,
): (x: Float32Array) => Float32Array {
  const workspace = new MatmulWorkspace();
  const b = workspace.allocate(inputs, outputs);
  const a = workspace.allocate(most, inputs);
  const c = workspace.allocate(most, outputs);
  const turned = workspace.view(b);
  // In blocks, so that both sides stay in the cache.
  for (let o = 0; o < outputs; o += 32)
    for (let i = 0; i < inputs; i++)
      for (let own = o; own < Math.min(o + 32, outputs); own++)
        turned[i * b.stride + own] = weights[own * inputs + i];
  return (x) => {
    const count = x.length / inputs;
    const left = workspace.view(a);
    for (let row = 0; row < count; row++)
      left.set(x.subarray(row * inputs, (row + 1) * inputs), row * a.stride);
    workspace.multiply({ ...a, rows: count }, b, c);
    const view = workspace.view(c);
    const out = new Float32Array(count * outputs);
    for (let row = 0; row < count; row++)
      out.set(view.subarray(row * c.stride, row * c.stride + outputs), row * outputs);
    return out;
  };
}

/** Causal attention of one text; queries and keys get their positions here, in place. */
function attention(
  { width, heads, kvHeads, ropeBase }: LlamaConfig,
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  length: number,
): Float32Array {
  // Whole numbers to the compiler as well: places that are quotients would be taken for doubles in the inner loops.
  const size = (width / heads) | 0;
  const kvWidth = (size * kvHeads) | 0;
  rotate(q, width, size, ropeBase);
  rotate(k, kvWidth, size, ropeBase);
  const out = new Float32Array(length * width);
  const scores = new Float64Array(length);
  const root = Math.sqrt(size);
  for (let head = 0; head < heads; head++) {
    const kv = (Math.floor((head * kvHeads) / heads) * size) | 0;
    for (let t = 0; t < length; t++) {
      const query = t * width + head * size;
      let top = Number.NEGATIVE_INFINITY;
      for (let s = 0; s <= t; s++) {
        let sum = 0;
        const key = s * kvWidth + kv;
        for (let i = 0; i < size; i++) sum += q[query + i] * k[key + i];
        scores[s] = sum / root;
        if (scores[s] > top) top = scores[s];
      }
      let total = 0;
      for (let s = 0; s <= t; s++) {
        scores[s] = Math.exp(scores[s] - top);
        total += scores[s];
      }
      for (let s = 0; s <= t; s++) {
        const share = scores[s] / total;
        const value = s * kvWidth + kv;
        for (let i = 0; i < size; i++) out[query + i] += share * v[value + i];
      }
    }
  }
  return out;
}

/** Turns each pair of neighbours by its position times a frequency of its own (rotary positions, Su et al. 2021). */
function rotate(rows: Float32Array, width: number, size: number, base: number): void {
  const frequencies = Float64Array.from({ length: size / 2 }, (_, i) => base ** ((-2 * i) / size));
  for (let t = 0; t * width < rows.length; t++)
    for (let i = 0; i < size / 2; i++) {
      const cos = Math.cos(t * frequencies[i]);
      const sin = Math.sin(t * frequencies[i]);
      for (let at = t * width + 2 * i; at < (t + 1) * width; at += size) {
        const [a, b] = [rows[at], rows[at + 1]];
        rows[at] = a * cos - b * sin;
        rows[at + 1] = a * sin + b * cos;
      }
    }
}

function addTo(target: Float32Array, more: Float32Array): void {
  for (let i = 0; i < target.length; i++) target[i] += more[i];
}

/** What a pass over a model may be told. */
export interface PassOptions {
  /** Is told after each block. */
  onLayer?: (done: number, layers: number) => void;
  signal?: AbortSignal;
}

/**
 * The logits of texts: for each token, one number for every token that may come next, larger is likelier.
 *
 * @param texts token numbers, all of the same length
 * @returns for each text [length, vocabulary], row-major
 */
export async function logitsOf(
  model: LlamaModel,
  texts: readonly Uint32Array[],
  options: PassOptions = {},
): Promise<Float32Array[]> {
  const logits: Float32Array[] = [];
  for await (const part of logitsOneByOne(model, texts, options)) logits.push(part);
  return logits;
}

/** {@link logitsOf}, a text at a time: those of a large vocabulary need much memory. */
export async function* logitsOneByOne(
  model: LlamaModel,
  texts: readonly Uint32Array[],
  { onLayer, signal }: PassOptions = {},
): AsyncGenerator<Float32Array> {
  const { config } = model;
  const { layers, width, vocabulary, epsilon, tied } = config;
  let rows = await embed(model, texts);
  const length = texts[0]?.length ?? 0;
  for (let layer = 0; layer < layers; layer++) {
    signal?.throwIfAborted();
    rows = runBlock(config, await blockOf(model, layer), rows, length);
    onLayer?.(layer + 1, layers);
    await nextTurn();
  }
  const norm = await model.tensor("output_norm.weight");
  const output = linear(
    await model.tensor(tied ? "token_embd.weight" : "output.weight"),
    [vocabulary, width],
    length,
  );
  for (let text = 0; text < texts.length; text++) {
    signal?.throwIfAborted();
    const own = rows.subarray(text * length * width, (text + 1) * length * width);
    yield output(rmsNorm(own, norm, epsilon));
  }
}
