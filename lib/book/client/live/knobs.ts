// Live figures with a knob: sparsity, bits, rank, temperature. Each turns LeNet-300-100's weights with slimlab's own
// functions, and asks it the same digits again.
import { softmaxAt } from "../../../distillation/loss.ts";
import { decay } from "../../../lowrank/choose-rank.ts";
import { reconstruct, svd, truncate } from "../../../lowrank/svd.ts";
import { applyMasks } from "../../../pruning/mask.ts";
import { globalSparsity } from "../../../pruning/strategies.ts";
import { magnitude } from "../../../pruning/weight-scores.ts";
import { dequantize, quantize, quantizedBytes } from "../../../quantization/fixed-point.ts";
import { quantizationError } from "../../../quantization/sqnr.ts";
import { bytesOf, denseBytes, toCsr } from "../../../sparse/matrix.ts";
import { make } from "../dom.ts";
import type { Digits, Kernel, Network } from "./network.ts";
import { answerOf, logitsOf, rightOf, weightsOf, withWeights } from "./network.ts";
import { type Bar, Bars, choice, Frame, Picture, slider, tick } from "./parts.ts";
import type { Words } from "./words.ts";

/** What a live figure is made of. */
export interface Stage {
  network: Network;
  /** Of LeNet-5. */
  kernels: { conv1: Kernel; conv2: Kernel };
  digits: Digits;
  /** Of Fashion-MNIST. */
  garments: Digits;
  /** What chapter 4.1's recipe made of LeNet-5: a .slim file. */
  recipe: Uint8Array;
  /** Chapter 4.3's record of LeNet-300-100: a .slim file. */
  record: Uint8Array;
  words: Words;
}

/** The network without its smallest weights (§3.1.1). */
export function pruned(network: Network, sparsity: number): Network {
  const weights = weightsOf(network);
  const scores = Object.fromEntries(
    Object.entries(weights).map(([layer, values]) => [layer, magnitude(values)]),
  );
  return withWeights(network, applyMasks(weights, globalSparsity(scores, sparsity)));
}

export const liveRanges = ["max", "mse"] as const;
export type LiveRange = (typeof liveRanges)[number];

/** The network in fixed point (§3.2.1), and what its weights take. */
export function quantized(
  network: Network,
  bits: number,
  range: LiveRange = "mse",
  perOutput = true,
): { network: Network; bytes: number; sqnr: number } {
  let bytes = 0;
  const original: number[] = [];
  const restored: number[] = [];
  const weights: Record<string, Float32Array> = {};
  for (const { name, rows, cols, weights: values } of network) {
    const codes = quantize(values, { bits, range, shape: [rows, cols], ...(perOutput ? { axis: 1 } : {}) });
    bytes += quantizedBytes(codes);
    weights[name] = dequantize(codes);
    for (let i = 0; i < values.length; i++) {
      original.push(values[i]);
      restored.push(weights[name][i]);
    }
  }
  return { network: withWeights(network, weights), bytes, sqnr: quantizationError(original, restored).sqnr };
}

/** The network with its first layer at any rank (§3.3.1), and what each rank keeps of that layer. */
export function lowRankOf(network: Network) {
  const [{ name, rows, cols, weights }] = network;
  const decomposition = svd(weights, rows, cols);
  return {
    energies: decay(decomposition.s),
    at: (rank: number): Network =>
      withWeights(network, { [name]: Float32Array.from(reconstruct(truncate(decomposition, rank))) }),
  };
}

/** A figure that decomposes a layer before it shows anything: `show` makes its knobs, once the wait has been painted. */
export function decomposing(
  { network, words: t }: Stage,
  bars: Bars,
  show: (lowRank: ReturnType<typeof lowRankOf>, frame: Frame) => HTMLElement,
  note = t.live,
): HTMLElement {
  const holder = make("div");
  const frame = new Frame(note, holder, bars.element);
  frame.title(t.wait);
  setTimeout(() => holder.replaceChildren(show(lowRankOf(network), frame)), 50);
  return frame.element;
}

/** Weights as 32-bit floats. */
export const floatBytes = (network: Network): number =>
  network.reduce((sum, { rows, cols }) => sum + denseBytes(rows, cols), 0);

/** What every figure begins with: how many digits a turned network gets right, beside the whole one. */
export function judge({ network, digits, words: t }: Stage) {
  const count = digits.labels.length;
  const whole = rightOf(network, digits);
  return (right: number): Bar => ({
    name: t.right(right, count, whole),
    value: t.percent(right / count, 1),
    share: right / count,
  });
}

export function pruneFigure(stage: Stage): HTMLElement {
  const { network, digits, words: t } = stage;
  const count = digits.labels.length;
  const judged = judge(stage);
  const floats = floatBytes(network);
  const bars = new Bars();
  const picture = new Picture(28, t.pixels);
  const move = (share: number) => {
    const sparse = pruned(network, share);
    const right = rightOf(sparse, digits);
    const bytes = sparse.reduce(
      (sum, { rows, cols, weights }) => sum + bytesOf(toCsr(weights, rows, cols)),
      0,
    );
    frame.title(t.prune(t.percent(share, 1), right, count));
    bars.show([
      judged(right),
      { name: t.asCsr, value: t.kib(bytes), share: bytes / floats },
      { name: t.dense, value: t.kib(floats), share: 1 },
    ]);
    const { cols, weights } = sparse[0];
    const perPixel = new Float32Array(28 * 28);
    for (let i = 0; i < weights.length; i++) if (weights[i] !== 0) perPixel[Math.floor(i / cols)]++;
    picture.show(perPixel);
  };
  const write = (tenths: number) => t.percent(tenths / 1000, 1);
  const knob = slider(t.sparsity, { min: 0, max: 995, step: 5, value: 900 }, write, (v) => move(v / 1000));
  const frame = new Frame(
    t.live,
    knob,
    make("div", { className: "live-row" }, picture.element, bars.element),
  );
  move(0.9);
  return frame.element;
}

export function quantizeFigure(stage: Stage): HTMLElement {
  const { network, digits, words: t } = stage;
  const count = digits.labels.length;
  const judged = judge(stage);
  const floats = floatBytes(network);
  const bars = new Bars();
  const state = { bits: 4, range: "max" as LiveRange, perOutput: false };
  const move = (change: Partial<typeof state>) => {
    Object.assign(state, change);
    const { network: rounded, bytes, sqnr } = quantized(network, state.bits, state.range, state.perOutput);
    const right = rightOf(rounded, digits);
    frame.title(t.quantize(state.bits, right, count));
    bars.show([
      judged(right),
      { name: t.sqnr, value: sqnr.toFixed(1), share: sqnr / 50 },
      { name: t.stored, value: t.kib(bytes), share: bytes / floats },
      { name: t.dense, value: t.kib(floats), share: 1 },
    ]);
  };
  const frame = new Frame(
    t.live,
    slider(t.bits, { min: 1, max: 8, value: 4 }, String, (bits) => move({ bits })),
    choice(t.range, liveRanges, "max", (range) => move({ range })),
    tick(t.perOutput, false, (perOutput) => move({ perOutput })),
    bars.element,
  );
  move({});
  return frame.element;
}

export function rankFigure(stage: Stage): HTMLElement {
  const { network, digits, words: t } = stage;
  const count = digits.labels.length;
  const judged = judge(stage);
  const [{ rows, cols }] = network;
  const bars = new Bars();
  return decomposing(stage, bars, ({ energies, at }, frame) => {
    const move = (rank: number) => {
      const right = rightOf(at(rank), digits);
      const factors = rank * (rows + cols);
      const { energy } = energies[rank - 1];
      frame.title(t.rankTitle(rank, right, count));
      bars.show([
        judged(right),
        { name: t.energy, value: t.percent(energy, 1), share: energy },
        {
          name: t.factors,
          value: factors.toLocaleString("en"),
          share: factors / Math.max(rows * cols, factors),
        },
        {
          name: t.fullLayer,
          value: (rows * cols).toLocaleString("en"),
          share: (rows * cols) / Math.max(rows * cols, factors),
        },
      ]);
    };
    move(30);
    return slider(t.rank, { min: 1, max: cols, value: 30 }, String, move);
  });
}

export function temperatureFigure({ network, digits, words: t }: Stage): HTMLElement {
  const bars = new Bars();
  const picture = new Picture(28, t.digit);
  const logits = digits.images.map((image) => logitsOf(network, image));
  // The digit that the network doubts most has most to tell.
  const lead = (z: Float32Array) => Math.max(...z) - [...z].sort((a, b) => b - a)[1];
  const doubted = logits.reduce((best, z, i) => (lead(z) < lead(logits[best]) ? i : best), 0);
  const state = { at: doubted, temperature: 4 };
  const move = (change: Partial<typeof state>) => {
    Object.assign(state, change);
    const scores = softmaxAt(logits[state.at], 10, state.temperature);
    const wrong = 1 - scores[answerOf(logits[state.at])];
    frame.title(t.temperatureTitle(state.temperature.toFixed(1), t.percent(wrong, 1)));
    bars.show(
      Array.from(scores, (score, i) => ({ name: String(i), value: t.percent(score, 1), share: score })),
    );
    picture.show(digits.images[state.at], 1);
  };
  const frame = new Frame(
    t.live,
    slider(
      t.temperature,
      { min: 5, max: 200, step: 5, value: 40 },
      (v) => (v / 10).toFixed(1),
      (v) => move({ temperature: v / 10 }),
    ),
    slider(
      t.digit,
      { min: 0, max: digits.labels.length - 1, value: doubted },
      (i) => t.named(i + 1, digits.labels[i]),
      (at) => move({ at }),
    ),
    make("div", { className: "live-row" }, picture.element, bars.element),
  );
  move({});
  return frame.element;
}
