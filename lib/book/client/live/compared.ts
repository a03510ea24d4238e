// Live figures that compare: three methods at one size, filters of two layers, ranks of a convolution.
import { costOf, type LayerShape } from "../../../analysis/cost.ts";
import { tucker2, tucker2Parameters } from "../../../lowrank/tucker-cp.ts";
import { filterNorm } from "../../../pruning/filter-scores.ts";
import { layerSparsity } from "../../../pruning/strategies.ts";
import { quantizedBytes } from "../../../quantization/fixed-point.ts";
import { decomposing, floatBytes, pruned, quantized, type Stage } from "./knobs.ts";
import { type Kernel, type Network, rightOf } from "./network.ts";
import { Bars, Frame, shareSlider, slider } from "./parts.ts";
import { bytesTogether } from "./turned.ts";

/** The sparsity at which kept floats, and at best to say which they are, take so many bytes; undefined where none does. */
export function sparsityFor(network: Network, bytes: number): number | undefined {
  const taken = (share: number) => {
    const { kept, positions } = bytesTogether(pruned(network, share), 32);
    return kept + positions;
  };
  // A bit for each weight is the most that positions take.
  let low = Math.max(0, 1 - bytes / floatBytes(network));
  let high = Math.min(0.999, low + 1 / 32);
  if (taken(high) > bytes) return undefined;
  while (high - low > 0.002) {
    const middle = (low + high) / 2;
    if (taken(middle) > bytes) low = middle;
    else high = middle;
  }
  return high;
}

/** The most bits a weight, a scale for each output counted, that take so many bytes; undefined where one is too much. */
export function bitsFor(network: Network, bytes: number): number | undefined {
  const taken = (bits: number) =>
    network.reduce((sum, { rows, cols }) => {
      const scales = { scale: new Float32Array(cols), zeroPoint: new Int32Array(cols), axis: 1 };
      return (
        sum + quantizedBytes({ bits, scheme: "symmetric", signed: true, shape: [rows, cols], ...scales })
      );
    }, 0);
  for (let bits = 16; bits > 0; bits--) if (taken(bits) <= bytes) return bits;
  return undefined;
}

/** The most ranks of the first layer, the others whole, that take so many bytes; undefined where one is too much. */
export function rankFor([first, ...others]: Network, bytes: number): number | undefined {
  const rest = others.reduce((sum, { weights }) => sum + weights.length, 0);
  const rank = Math.floor((bytes / 4 - rest) / (first.rows + first.cols));
  return rank < 1 ? undefined : Math.min(rank, first.cols);
}

export function tradeoffFigure(stage: Stage): HTMLElement {
  const { network, digits, words: t } = stage;
  const count = digits.labels.length;
  const floats = floatBytes(network);
  const whole = rightOf(network, digits);
  const bars = new Bars();
  return decomposing(stage, bars, ({ at }, frame) => {
    const bar = (method: string, turned: { how: string; network: Network } | 0 | undefined) => {
      if (!turned) return { method, name: `${method}: ${t.tooSmall}`, value: "–", share: 0 };
      const right = rightOf(turned.network, digits);
      return { method, name: `${method}: ${turned.how}`, value: String(right), share: right / count };
    };
    const move = (times: number) => {
      const bytes = floats / times;
      const [sparsity, bits, rank] = [
        sparsityFor(network, bytes),
        bitsFor(network, bytes),
        rankFor(network, bytes),
      ];
      const { methods } = t;
      const shown = [
        bar(methods.pruning, sparsity && { how: t.percent(sparsity, 1), network: pruned(network, sparsity) }),
        bar(methods.quantization, bits && { how: t.bitsOf(bits), network: quantized(network, bits).network }),
        bar(methods.lowRank, rank && { how: t.rankOf(rank), network: at(rank) }),
      ];
      const most = Math.max(...shown.map(({ share }) => share));
      const best = shown.filter(({ share }) => share === most && most > 0).map(({ method }) => method);
      frame.title(t.bestAt(times, t.join(best), Math.round(most * count), count));
      bars.show([...shown, { name: t.whole, value: String(whole), share: whole / count }]);
    };
    move(8);
    return slider(t.times, { min: 2, max: 32, value: 8 }, String, move);
  });
}

/** LeNet-5 with so many filters (§3.1.2); poolings cost nothing. */
const lenet5Layers = (first: number, second: number): LayerShape[] => [
  {
    ...{ name: "conv1", kind: "conv2d", kernelShape: [5, 5, 1, first] },
    ...{ otherParameters: first, outputShape: [24, 24, first], inputs: [] },
  },
  {
    ...{ name: "conv2", kind: "conv2d", kernelShape: [5, 5, first, second] },
    ...{ otherParameters: second, outputShape: [8, 8, second] },
  },
  {
    ...{ name: "fc1", kind: "dense", kernelShape: [4 * 4 * second, 500] },
    ...{ otherParameters: 500, outputShape: [500] },
  },
  {
    ...{ name: "fc2", kind: "dense", kernelShape: [500, 10] },
    ...{ otherParameters: 10, outputShape: [10] },
  },
];

/** What LeNet-5 has left with so many filters: parameters, multiply-accumulates. */
export function lenet5With(first: number, second: number): { parameters: number; macs: number } {
  const { parameters, macs } = costOf(lenet5Layers(first, second));
  return { parameters, macs };
}

/** How many filters a share leaves, and how much of all L1 norms these hold. */
export function filtersLeft(kernel: Kernel, share: number): { left: number; norm: number } {
  const filters = kernel.shape[3];
  const norms = filterNorm(kernel.values, filters);
  const { kept } = layerSparsity({ kept: norms }, share);
  const sum = (values: ArrayLike<number>) => Array.from(values).reduce((all, value) => all + value, 0);
  return { left: sum(kept), norm: sum(norms.map((norm, i) => norm * kept[i])) / sum(norms) };
}

export function filtersFigure({ kernels, words: t }: Stage): HTMLElement {
  const { conv1, conv2 } = kernels;
  const whole = lenet5With(20, 50);
  const bars = new Bars();
  const state = { first: 0.5, second: 0.5 };
  const move = (change: Partial<typeof state>) => {
    Object.assign(state, change);
    const [first, second] = [filtersLeft(conv1, state.first), filtersLeft(conv2, state.second)];
    const left = lenet5With(first.left, second.left);
    frame.title(t.filters(first.left, second.left, t.percent(left.macs / whole.macs)));
    bars.show([
      { name: t.macs, value: left.macs.toLocaleString("en"), share: left.macs / whole.macs },
      {
        name: t.parameters,
        value: left.parameters.toLocaleString("en"),
        share: left.parameters / whole.parameters,
      },
      { name: t.norms("conv1"), value: t.percent(first.norm, 1), share: first.norm },
      { name: t.norms("conv2"), value: t.percent(second.norm, 1), share: second.norm },
    ]);
  };
  const knob = (layer: string, which: keyof typeof state) =>
    shareSlider(t.filtersGone(layer), { most: 95, share: 50, words: t }, (share) => move({ [which]: share }));
  const frame = new Frame(t.live, knob("conv1", "first"), knob("conv2", "second"), bars.element);
  move({});
  return frame.element;
}

export function tuckerFigure({ kernels: { conv2 }, words: t }: Stage): HTMLElement {
  const { shape, values } = conv2;
  const bars = new Bars();
  const state = { rankIn: 8, rankOut: 16 };
  const move = (change: Partial<typeof state>) => {
    Object.assign(state, change);
    const { rankIn, rankOut } = state;
    const { error } = tucker2(values, shape, rankIn, rankOut, { iterations: 3 });
    const parameters = tucker2Parameters(shape, rankIn, rankOut);
    const energy = 1 - error ** 2;
    frame.title(t.tucker(rankIn, rankOut, t.percent(parameters / values.length), t.percent(energy)));
    const most = Math.max(parameters, values.length);
    bars.show([
      { name: t.energy, value: t.percent(energy, 1), share: energy },
      { name: t.kernelError, value: t.percent(error, 1), share: error },
      { name: t.three, value: parameters.toLocaleString("en"), share: parameters / most },
      { name: t.conv2, value: values.length.toLocaleString("en"), share: values.length / most },
    ]);
  };
  const [, , most, outputs] = shape;
  const frame = new Frame(
    t.live,
    slider(t.rankIn, { min: 1, max: most, value: 8 }, String, (rankIn) => move({ rankIn })),
    slider(t.rankOut, { min: 1, max: outputs, value: 16 }, String, (rankOut) => move({ rankOut })),
    bars.element,
  );
  move({});
  return frame.element;
}
