// A live figure of chapter 4.2: a budget of bytes, and the bits that each layer gets of it.
import { distillationLoss } from "../../../distillation/loss.ts";
import { type Allocation, allocate, type Choice } from "../../../quantization/bit-allocation.ts";
import { chooseGrid, quantizedBytes, roundOn } from "../../../quantization/fixed-point.ts";
import { floatBytes, judge, type Stage } from "./knobs.ts";
import { type Digits, logitsOf, type Network, rightOf, withWeights } from "./network.ts";
import { Bars, Frame, slider } from "./parts.ts";

/** The widths that chapter 4.2 chooses from. */
export const widths = [2, 3, 4, 5, 6, 8] as const;

/** A layer in one width: what it takes, and how far it alone moves the predictions. */
export interface Width extends Choice {
  bits: number;
  weights: Float32Array;
}

/** How far the predictions for these digits move, in nats a digit (Kullback-Leibler). */
export function divergence(network: Network, changed: Network, { images, labels }: Digits): number {
  const asked = (one: Network) => {
    const logits = new Float32Array(10 * images.length);
    for (const [i, image] of images.entries()) logits.set(logitsOf(one, image), 10 * i);
    return logits;
  };
  return distillationLoss(asked(changed), asked(network), labels, 10, { temperature: 1 }).soft;
}

/** Each layer in each width, all others whole (§3.2.1). */
export function widthsOf(network: Network, digits: Digits): Width[][] {
  return network.map(({ name, rows, cols, weights }) =>
    widths.map((bits) => {
      const grid = chooseGrid(weights, { bits, range: "mse", shape: [rows, cols], axis: 1 });
      const rounded = roundOn(grid, weights);
      const cost = divergence(network, withWeights(network, { [name]: rounded }), digits);
      return { bits, weights: rounded, bytes: quantizedBytes(grid), cost };
    }),
  );
}

/** The network with each layer in a width that was picked. */
export function inWidths(network: Network, layers: Width[][], { picks }: Pick<Allocation, "picks">): Network {
  return withWeights(
    network,
    Object.fromEntries(network.map(({ name }, i) => [name, layers[i][picks[i]].weights])),
  );
}

/** The largest width that all layers can have for so many bytes; undefined where the smallest is too much. */
export function oneWidth(layers: Width[][], bytes: number): Pick<Allocation, "picks" | "bytes"> | undefined {
  for (let pick = widths.length - 1; pick >= 0; pick--) {
    const taken = layers.reduce((sum, choices) => sum + choices[pick].bytes, 0);
    if (taken <= bytes) return { picks: layers.map(() => pick), bytes: taken };
  }
  return undefined;
}

export function budgetFigure(stage: Stage): HTMLElement {
  const { network, digits, words: t } = stage;
  const count = digits.labels.length;
  const judged = judge(stage);
  const floats = floatBytes(network);
  const few = { images: digits.images.slice(0, 50), labels: digits.labels.slice(0, 50) };
  const layers = widthsOf(network, few);
  const bars = new Bars();
  const move = (times: number) => {
    const bytes = floats / times;
    const chosen = allocate(layers, bytes);
    const mixed = inWidths(network, layers, chosen);
    const same = oneWidth(layers, bytes);
    const right = rightOf(mixed, digits);
    const moved = divergence(network, mixed, few);
    const movedSame = same && divergence(network, inWidths(network, layers, same), few);
    const most = Math.max(chosen.cost, moved, movedSame ?? 0, 1e-9);
    const bits = chosen.picks.map((pick) => widths[pick]);
    frame.title(t.budget(times, t.join(bits.map(String)), right, count));
    const nats = (name: string, value: number) => ({ name, value: value.toFixed(4), share: value / most });
    bars.show([
      judged(right),
      ...network.map(({ name }, i) => ({ name, value: t.bitsOf(bits[i]), share: bits[i] / 8 })),
      { name: t.kernels, value: t.kib(chosen.bytes), share: chosen.bytes / bytes },
      nats(t.expected, chosen.cost),
      nats(t.measured, moved),
      same && movedSame !== undefined
        ? nats(t.sameWidth(widths[same.picks[0]]), movedSame)
        : { name: t.noSameWidth, value: "–", share: 0 },
    ]);
  };
  const frame = new Frame(
    t.live + t.stop + t.smallNetwork,
    slider(t.times, { min: 4, max: 15, value: 7 }, String, move),
    bars.element,
  );
  move(7);
  return frame.element;
}
