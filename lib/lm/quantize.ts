// §4.4: a language model with few bits per weight: groups along each row, a scale for each; rounded to the nearest, by GPTQ, or
// after activation-aware scaling. The calibrated two go through the model block by block: what a block reads is what the
// blocks before it give as they are quantized, so that later blocks make up for what earlier ones lose.
import {
  addSamples,
  awq,
  chooseGrid,
  dequantize,
  emptyStatistics,
  type GridOptions,
  gptq,
  type InputStatistics,
  outputError,
  type Quantized,
  quantize,
  quantizedBytes,
} from "../quantization/index.ts";
import { checkInteger, checkOneOf } from "../util/check.ts";
import { fromHalves, toHalves } from "../util/half.ts";
import { transposed } from "../util/transpose.ts";
import { nextTurn } from "../util/turn.ts";
import { type BlockWeights, blockOf, embed, type PassOptions, runBlock } from "./forward.ts";
import {
  type BlockMatrix,
  blockMatrices,
  type LlamaModel,
  matrixShape,
  tensorName,
  withTensors,
} from "./llama.ts";

/** How weights are rounded. */
export const llamaRoundings = ["nearest", "gptq", "awq"] as const;
export type LlamaRounding = (typeof llamaRoundings)[number];

/** Options of {@link quantizeLlama}. */
export interface LlamaQuantizeOptions
  extends PassOptions,
    Pick<GridOptions, "bits" | "scheme" | "range" | "percentile"> {
  /** Weights that share a scale: 32, 64, 128; 0 for a whole row. Default 32. */
  group?: number;
  /** Default `nearest`. */
  rounding?: LlamaRounding;
  /** Texts that inputs are looked at on, all of the same length; needed by `gptq` and `awq`. */
  calibration?: readonly Uint32Array[];
  /** GPTQ's damping; default 0.01. */
  damping?: number;
  /** How many strengths AWQ tries; default 20. */
  steps?: number;
}

/** A quantized model. */
export interface QuantizedLlama {
  /** The same model with the numbers that codes stand for; norms have taken up AWQ's factors. */
  model: LlamaModel;
  /** Codes and grids of every block's matrices, [outputs, inputs], by tensor name. */
  quantized: Map<string, Quantized>;
  /** Bytes of these matrices: codes, float16 scales, and zero points where the grid has them. */
  bytes: number;
  /** Bits a weight of these matrices, scales counted. */
  bitsPerWeight: number;
  /** Mean squared error of each matrix' outputs on the calibration texts, and of what it would be by rounding to nearest. */
  errors: { name: string; error: number; nearest: number }[];
}

/** What reads the same inputs. */
const readers: readonly (readonly BlockMatrix[])[] = [
  ["attn_q", "attn_k", "attn_v"],
  ["attn_output"],
  ["ffn_gate", "ffn_up"],
  ["ffn_down"],
];

/**
 * Quantizes the matrices of all blocks. The embedding table, the last product and the norms stay as they are.
 *
 * AWQ's factors go into what makes the inputs: the norms, and the rows of ffn_up for ffn_down. attn_output, whose inputs are
 * made by grouped heads, is rounded to the nearest, as in the paper's code.
 *
 * @throws RangeError for options out of range, and for a calibrated rounding without texts
 */
export async function quantizeLlama(
  model: LlamaModel,
  options: LlamaQuantizeOptions,
): Promise<QuantizedLlama> {
  const { rounding = "nearest", calibration, group = 32, onLayer, signal } = options;
  checkOneOf("rounding", rounding, llamaRoundings);
  checkInteger("group", group, 0);
  if (rounding !== "nearest" && !calibration?.length)
    throw new RangeError(`calibration must have texts for ${rounding}, got ${calibration?.length ?? 0}`);
  const { config } = model;
  const changed = new Map<string, Float32Array>();
  const quantized = new Map<string, Quantized>();
  const errors: QuantizedLlama["errors"] = [];
  const length = calibration?.[0]?.length ?? 0;
  let rows = rounding === "nearest" ? undefined : await embed(model, calibration!);
  for (let layer = 0; layer < config.layers; layer++) {
    signal?.throwIfAborted();
    const weights = await blockOf(model, layer);
    const block = new Block(model, weights, options);
    if (rows) {
      const statistics = new Map(
        readers.map(([first]) => [first, emptyStatistics(matrixShape(config, first)[1])]),
      );
      runBlock(config, weights, rows, length, ([first], inputs) =>
        addSamples(statistics.get(first)!, inputs),
      );
      for (const parts of readers) {
        signal?.throwIfAborted();
        block.calibrated(parts, statistics.get(parts[0])!, rounding as "gptq" | "awq");
        await nextTurn();
      }
      rows = runBlock(config, weights, rows, length);
    } else block.nearest(blockMatrices);
    for (const [part, q] of block.quantized) quantized.set(tensorName(layer, part), q);
    for (const { part, error, nearest } of block.errors)
      errors.push({ name: tensorName(layer, part), error, nearest });
    for (const part of [...blockMatrices, "attn_norm", "ffn_norm"] as const)
      changed.set(tensorName(layer, part), weights[part]);
    onLayer?.(layer + 1, config.layers);
    await nextTurn();
  }
  let [bytes, count] = [0, 0];
  for (const q of quantized.values()) {
    bytes += groupBytes(q);
    count += q.codes.length;
  }
  return {
    model: withTensors(model, changed),
    quantized,
    bytes,
    bitsPerWeight: (8 * bytes) / count,
    errors,
  };
}

/** Bytes of a matrix as engines store it: zero points take as many bits as a code. */
export function groupBytes(q: Quantized): number {
  const zeros = q.scheme === "affine" ? Math.ceil((q.scale.length * q.bits) / 8) : 0;
  return quantizedBytes({ ...q, scheme: "symmetric" }) + zeros;
}

/** A block's weights while they are quantized: they are replaced in `weights`, one after the other. */
class Block {
  readonly quantized = new Map<BlockMatrix, Quantized>();
  readonly errors: { part: BlockMatrix; error: number; nearest: number }[] = [];
  readonly #model: LlamaModel;
  readonly #weights: BlockWeights;
  readonly #options: LlamaQuantizeOptions;
  readonly #grid: GridOptions;

  constructor(model: LlamaModel, weights: BlockWeights, options: LlamaQuantizeOptions) {
    this.#model = model;
    this.#weights = weights;
    this.#options = options;
    const { bits, scheme = "affine", range, percentile, group = 32 } = options;
    this.#grid = {
      bits,
      scheme,
      ...(range === undefined ? {} : { range }),
      ...(percentile === undefined ? {} : { percentile }),
      ...(group === 0 ? {} : { group }),
      scaleType: "float16",
    };
  }

  nearest(parts: readonly BlockMatrix[]): void {
    for (const part of parts) {
      const [outputs, inputs] = matrixShape(this.#model.config, part);
      this.#replace(
        part,
        quantize(this.#weights[part], { ...this.#grid, shape: [outputs, inputs], axis: 0 }),
      );
    }
  }

  calibrated(parts: readonly BlockMatrix[], statistics: InputStatistics, rounding: "gptq" | "awq"): void {
    if (rounding === "gptq") for (const part of parts) this.#gptq(part, statistics);
    else if (parts[0] === "attn_output") this.#rounded(parts[0], statistics);
    else this.#awq(parts, statistics);
  }

  #gptq(part: BlockMatrix, statistics: InputStatistics): void {
    const [outputs, inputs] = matrixShape(this.#model.config, part);
    const before = transposed(this.#weights[part], outputs, inputs);
    const grid = chooseGrid(before, { ...this.#grid, shape: [inputs, outputs], axis: 1 });
    const q = gptq(before, grid, statistics, { damping: this.#options.damping ?? 0.01 });
    const nearest = dequantize(quantize(before, { ...this.#grid, shape: [inputs, outputs], axis: 1 }));
    this.errors.push({
      part,
      error: outputError(before, dequantize(q), statistics),
      nearest: outputError(before, nearest, statistics),
    });
    this.#replace(part, turned(q));
  }

  #rounded(part: BlockMatrix, statistics: InputStatistics): void {
    const [outputs, inputs] = matrixShape(this.#model.config, part);
    const before = transposed(this.#weights[part], outputs, inputs);
    this.nearest([part]);
    const error = outputError(before, transposed(this.#weights[part], outputs, inputs), statistics);
    this.errors.push({ part, error, nearest: error });
  }

  #awq(parts: readonly BlockMatrix[], statistics: InputStatistics): void {
    const { config } = this.#model;
    const matrices = parts.map((part) => transposed(this.#weights[part], ...matrixShape(config, part)));
    const { factors, quantized, error, nearest } = awq(matrices, statistics, {
      ...this.#grid,
      ...(this.#options.steps === undefined ? {} : { steps: this.#options.steps }),
    });
    for (const [i, part] of parts.entries()) this.#replace(part, turned(quantized[i]));
    this.errors.push({ part: parts[0], error, nearest });
    // Inputs become smaller where they are made.
    if (parts[0] === "ffn_down") {
      // ffn_up is quantized already: each of its rows has scales of its own, so dividing these divides the row.
      const up = this.quantized.get("ffn_up")!;
      const channels = up.shape[0];
      const scale = up.scale.map((value, at) => value / factors[at % channels]);
      this.#replace("ffn_up", { ...up, scale: fromHalves(toHalves(scale)) });
    } else {
      const norm = parts[0] === "attn_q" ? "attn_norm" : "ffn_norm";
      this.#weights[norm] = this.#weights[norm].map((gain, i) => gain / factors[i]);
    }
  }

  #replace(part: BlockMatrix, q: Quantized): void {
    this.quantized.set(part, q);
    this.#weights[part] = dequantize(q);
  }
}

/** Codes [inputs, outputs] as [outputs, inputs]: scales lie alike in both. */
function turned(q: Quantized): Quantized {
  const [inputs, outputs] = q.shape;
  return { ...q, codes: transposed(q.codes, inputs, outputs), shape: [outputs, inputs], axis: 0 };
}
