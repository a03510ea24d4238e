// Live figures about what flows through the network, and about techniques together: neurons removed, activations in few
// bits, weights pruned and quantized at once.
import { entropy } from "../../../analysis/redundancy.ts";
import { meanActivation, taylorActivation } from "../../../pruning/filter-scores.ts";
import { meanAbsoluteGradient } from "../../../pruning/neuron-scores.ts";
import { layerSparsity, type Scores } from "../../../pruning/strategies.ts";
import { type Grid, roundOn } from "../../../quantization/fixed-point.ts";
import { createObserver } from "../../../quantization/observers.ts";
import { quantizationError } from "../../../quantization/sqnr.ts";
import { joinFloats } from "../../../util/join.ts";
import { seeded } from "../../../util/random.ts";
import { floatBytes, judge, type LiveRange, liveRanges, pruned, quantized, type Stage } from "./knobs.ts";
import { type Digits, hiddenOf, type Network, rightOf, type Turn } from "./network.ts";
import { Bars, choice, Frame, shareSlider, slider } from "./parts.ts";

/** How neurons are chosen: as in chapter 3.1.3. */
export const neuronScores = [
  "meanActivation",
  "meanAbsoluteGradient",
  "gradientTimesOutput",
  "random",
] as const;

/** A score of each hidden neuron, from these digits (§3.1.3). */
export function scoresOf(network: Network, digits: Digits): Record<(typeof neuronScores)[number], Scores> {
  const hidden = Object.entries(hiddenOf(network, digits));
  const count = digits.labels.length;
  const random = seeded(1);
  const each = (score: (outputs: Float32Array, gradients: Float32Array, neurons: number) => Float32Array) =>
    Object.fromEntries(
      hidden.map(([layer, { outputs, gradients }]) => [
        layer,
        score(outputs, gradients, outputs.length / count),
      ]),
    );
  return {
    meanActivation: each((outputs, _gradients, neurons) => meanActivation(outputs, neurons)),
    meanAbsoluteGradient: each((_outputs, gradients, neurons) => meanAbsoluteGradient(gradients, neurons)),
    gradientTimesOutput: each((outputs, gradients, neurons) =>
      taylorActivation(outputs, gradients, neurons, count),
    ),
    random: each((_outputs, _gradients, neurons) => Float32Array.from({ length: neurons }, random)),
  };
}

/** A network in which neurons are silent computes what it computes without them; and what those that stay cost. */
export function withoutNeurons(
  network: Network,
  scores: Scores,
  share: number,
): { turn: Turn; weights: number; parameters: number } {
  const masks = layerSparsity(scores, share);
  const kept = (layer: string | undefined, all: number) =>
    layer && masks[layer] ? masks[layer].reduce((sum, one) => sum + one, 0) : all;
  let [weights, biases] = [0, 0];
  for (const [i, { name, rows, cols }] of network.entries()) {
    const outputs = kept(name, cols);
    weights += kept(network[i - 1]?.name, rows) * outputs;
    biases += outputs;
  }
  const turn: Turn = (layer, outputs) => {
    for (let i = 0; i < outputs.length; i++) if (masks[layer][i] === 0) outputs[i] = 0;
  };
  return { turn, weights, parameters: weights + biases };
}

export function neuronsFigure(stage: Stage): HTMLElement {
  const { network, digits, words: t } = stage;
  const count = digits.labels.length;
  const judged = judge(stage);
  const scores = scoresOf(network, digits);
  const all = withoutNeurons(network, scores.random, 0).parameters;
  const bars = new Bars();
  const state = { share: 0.5, score: neuronScores[0] as (typeof neuronScores)[number] };
  const move = (change: Partial<typeof state>) => {
    Object.assign(state, change);
    const { turn, parameters } = withoutNeurons(network, scores[state.score], state.share);
    const right = rightOf(network, digits, turn);
    frame.title(t.neurons(t.percent(state.share), right, count));
    bars.show([
      judged(right),
      { name: t.parameters, value: parameters.toLocaleString("en"), share: parameters / all },
      { name: t.allParameters, value: all.toLocaleString("en"), share: 1 },
    ]);
  };
  const frame = new Frame(
    t.live,
    shareSlider(t.removed, { most: 95, share: 50, words: t }, (share) => move({ share })),
    choice(t.score, neuronScores, state.score, (score) => move({ score }), t.scores),
    bars.element,
  );
  move({});
  return frame.element;
}

/** Rounds what hidden layers give out to levels that were calibrated on these digits (§3.2.2). */
export function activationsIn(
  bits: number,
  method: LiveRange,
  hidden: ReturnType<typeof hiddenOf>,
): { turn: Turn; ends: Record<string, number>; sqnr: number } {
  const layers = Object.entries(hidden);
  const ends: Record<string, number> = {};
  const rounded: Record<string, (values: Float32Array) => Float32Array> = {};
  for (const [layer, { outputs }] of layers) {
    const observer = createObserver({ bits, method });
    observer.observe(outputs);
    const { range, scale, zeroPoint, ...levels } = observer.grid();
    const grid: Omit<Grid, "shape"> = {
      ...levels,
      scale: Float32Array.of(scale),
      zeroPoint: Int32Array.of(zeroPoint),
      axis: undefined,
    };
    ends[layer] = range[1];
    rounded[layer] = (values) => roundOn({ ...grid, shape: [values.length] }, values);
  }
  const { sqnr } = quantizationError(
    joinFloats(layers.map(([, { outputs }]) => outputs)),
    joinFloats(layers.map(([layer, { outputs }]) => rounded[layer](outputs))),
  );
  return { turn: (layer, outputs) => outputs.set(rounded[layer](outputs)), ends, sqnr };
}

export function activationsFigure(stage: Stage): HTMLElement {
  const { network, digits, words: t } = stage;
  const count = digits.labels.length;
  const judged = judge(stage);
  const few = { images: digits.images.slice(0, 50), labels: digits.labels.slice(0, 50) };
  const hidden = hiddenOf(network, few);
  const largest = activationsIn(8, "max", hidden).ends;
  const bars = new Bars();
  const state = { bits: 2, method: "max" as LiveRange };
  const move = (change: Partial<typeof state>) => {
    Object.assign(state, change);
    const { turn, ends, sqnr } = activationsIn(state.bits, state.method, hidden);
    const right = rightOf(network, digits, turn);
    frame.title(t.activations(state.bits, right, count));
    bars.show([
      judged(right),
      { name: t.sqnr, value: sqnr.toFixed(1), share: sqnr / 50 },
      ...Object.entries(ends).map(([layer, end]) => ({
        name: t.rangeEnd(layer),
        value: end.toFixed(2),
        share: end / largest[layer],
      })),
    ]);
  };
  const frame = new Frame(
    t.live,
    slider(t.activationBits, { min: 1, max: 8, value: 2 }, String, (bits) => move({ bits })),
    choice(t.range, liveRanges, "max", (method) => move({ method })),
    bars.element,
  );
  move({});
  return frame.element;
}

/** What pruned and quantized weights take: those that stay, and at best to say which they are (§2.3). */
export function bytesTogether(network: Network, bits: number): { kept: number; positions: number } {
  let kept = 0;
  let positions = 0;
  for (const { weights } of network) {
    const share = weights.reduce((sum, w) => sum + Number(w !== 0), 0) / weights.length;
    kept += (share * weights.length * bits) / 8;
    positions += (entropy([share, 1 - share]) * weights.length) / 8;
  }
  return { kept, positions };
}

export function togetherFigure(stage: Stage): HTMLElement {
  const { network, digits, words: t } = stage;
  const count = digits.labels.length;
  const judged = judge(stage);
  const floats = floatBytes(network);
  const bars = new Bars();
  const state = { share: 0.8, bits: 4 };
  const move = (change: Partial<typeof state>) => {
    Object.assign(state, change);
    const sparse = pruned(network, state.share);
    const right = rightOf(quantized(sparse, state.bits).network, digits);
    const { kept, positions } = bytesTogether(sparse, state.bits);
    const product = 32 / state.bits / (1 - state.share);
    frame.title(t.together((floats / (kept + positions)).toFixed(1), product.toFixed(1), right, count));
    bars.show([
      judged(right),
      { name: t.keptBytes, value: t.kib(kept), share: kept / floats },
      { name: t.positions, value: t.kib(positions), share: positions / floats },
      { name: t.dense, value: t.kib(floats), share: 1 },
    ]);
  };
  const frame = new Frame(
    t.live,
    shareSlider(t.sparsity, { most: 98, share: 80, words: t }, (share) => move({ share })),
    slider(t.bits, { min: 1, max: 16, value: 4 }, String, (bits) => move({ bits })),
    bars.element,
  );
  move({});
  return frame.element;
}
