// Live figures about LeNet-5's convolutions: filters of two layers, ranks of one.
import { costOf } from "../../../graph/index.ts";
import { tucker2, tucker2Parameters } from "../../../lowrank/tucker-cp.ts";
import { filterNorm } from "../../../pruning/filter-scores.ts";
import { layerSparsity } from "../../../pruning/strategies.ts";
import type { Stage } from "./knobs.ts";
import { lenet5 } from "./lenet5.ts";
import type { Kernel } from "./network.ts";
import { Bars, Frame, shareSlider, slider } from "./parts.ts";

/** What LeNet-5 has left with so many filters: parameters, multiply-accumulates. */
export function lenet5With(first: number, second: number): { parameters: number; macs: number } {
  const { parameters, macs } = costOf(lenet5(first, second));
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
