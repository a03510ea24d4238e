// Live figures that compare methods at one price, chosen by a slider: as many times fewer bytes, or multiply-accumulates.
import { clusteredBytes, clusterWeights, codeBits, restoreClusters } from "../../../quantization/codebook.ts";
import { quantizedBytes } from "../../../quantization/fixed-point.ts";
import { packedBytes } from "../../../quantization/packing.ts";
import { make } from "../dom.ts";
import { decomposing, floatBytes, type lowRankOf, pruned, quantized, type Stage } from "./knobs.ts";
import { type Network, rightOf, withWeights } from "./network.ts";
import { Bars, choice, slider } from "./parts.ts";
import { bytesTogether, scoresOf, withoutNeurons } from "./turned.ts";

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

/** The most bits per weight, a scale for each output counted, that take so many bytes; undefined where one is too much. */
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

/** The most shared values a layer, up to 64, that take so many bytes; undefined where two are too many. */
export function clustersFor(network: Network, bytes: number): number | undefined {
  const taken = (clusters: number) =>
    network.reduce(
      (sum, { weights }) => sum + packedBytes(weights.length, codeBits(clusters)) + 4 * clusters,
      0,
    );
  for (let clusters = 64; clusters > 1; clusters /= 2) if (taken(clusters) <= bytes) return clusters;
  return undefined;
}

/** The network with so many shared values in each layer (§3.2.1), and what codes and values take. */
export function clustered(network: Network, clusters: number): { network: Network; bytes: number } {
  let bytes = 0;
  const weights = network.map(({ name, weights }) => {
    const shared = clusterWeights(weights, { clusters });
    bytes += clusteredBytes(shared);
    return [name, restoreClusters(shared)] as const;
  });
  return { network: withWeights(network, Object.fromEntries(weights)), bytes };
}

/** The least share of hidden neurons without which so many weights are left, to a hundredth; undefined where none does. */
export function neuronsFor(
  network: Network,
  scores: Parameters<typeof withoutNeurons>[1],
  weights: number,
): number | undefined {
  for (let percent = 0; percent < 100; percent++)
    if (withoutNeurons(network, scores, percent / 100).weights <= weights) return percent / 100;
  return undefined;
}

export const methods = ["pruning", "neurons", "quantization", "clusters", "lowRank"] as const;
export type Method = (typeof methods)[number];
/** What there is to be fewer of. */
export const goals = ["bytes", "macs"] as const;
export type Goal = (typeof goals)[number];

/** What a method came to: how it was set, and how many digits are right. */
interface Outcome {
  how: string;
  right: number;
}

/** Each method at a price: as strong as it must be for as many times fewer bytes or multiply-accumulates. */
function pricesOf({ network, digits, words: t }: Stage, lowRank: ReturnType<typeof lowRankOf>) {
  const floats = floatBytes(network);
  const { gradientTimesOutput: scores } = scoresOf(network, digits);
  const ask = (one: Network) => rightOf(one, digits);
  const at: Record<Method, (bytes: number) => Outcome | undefined> = {
    pruning(bytes) {
      const sparsity = sparsityFor(network, bytes);
      return sparsity === undefined
        ? undefined
        : { how: t.percent(sparsity, 1), right: ask(pruned(network, sparsity)) };
    },
    neurons(bytes) {
      const share = neuronsFor(network, scores, bytes / 4);
      return share === undefined
        ? undefined
        : {
            how: t.neuronsGone(t.percent(share)),
            right: rightOf(network, digits, withoutNeurons(network, scores, share).turn),
          };
    },
    quantization(bytes) {
      const bits = bitsFor(network, bytes);
      return bits === undefined
        ? undefined
        : { how: t.bitsOf(bits), right: ask(quantized(network, bits).network) };
    },
    clusters(bytes) {
      const values = clustersFor(network, bytes);
      return values === undefined
        ? undefined
        : { how: t.valuesOf(values), right: ask(clustered(network, values).network) };
    },
    lowRank(bytes) {
      const rank = rankFor(network, bytes);
      return rank === undefined ? undefined : { how: t.rankOf(rank), right: ask(lowRank.at(rank)) };
    },
  };
  // In dense layers each weight is one multiply-accumulate, and only smaller matrices have fewer: zeros are multiplied, too.
  const changesShapes = (method: Method) => method === "neurons" || method === "lowRank";
  return (method: Method, goal: Goal, times: number): Outcome | string =>
    goal === "macs" && !changesShapes(method) ? t.asMany : (at[method](floats / times) ?? t.tooSmall);
}

/** The figure of some methods; with a choice of goals, what shall be fewer can be chosen. */
function methodsFigure(
  stage: Stage,
  compared: readonly Method[],
  { hasGoals, note }: { hasGoals: boolean; note?: string },
): HTMLElement {
  const { network, digits, words: t } = stage;
  const count = digits.labels.length;
  const whole = rightOf(network, digits);
  const bars = new Bars();
  return decomposing(
    stage,
    bars,
    (lowRank, frame) => {
      const priceOf = pricesOf(stage, lowRank);
      const state = { times: 8, goal: "bytes" as Goal };
      const move = (change: Partial<typeof state>) => {
        Object.assign(state, change);
        const { times, goal } = state;
        const outcomes = compared.map((method) => [t.methods[method], priceOf(method, goal, times)] as const);
        const able = outcomes.flatMap(([name, one]) => (typeof one === "string" ? [] : [{ name, ...one }]));
        const most = Math.max(0, ...able.map(({ right }) => right));
        const best = able.filter(({ right }) => right === most).map(({ name }) => name);
        frame.title(
          best.length === 0
            ? t.noneAt(times, t.goals[goal])
            : t.bestAt(times, t.goals[goal], t.join(best), most, count),
        );
        bars.show([
          ...outcomes.map(([name, one]) =>
            typeof one === "string"
              ? { name: t.named(name, one), value: "–", share: 0 }
              : { name: t.named(name, one.how), value: String(one.right), share: one.right / count },
          ),
          { name: t.whole, value: String(whole), share: whole / count },
        ]);
      };
      move({});
      const knob = slider(t.times, { min: 2, max: 32, value: 8 }, String, (times) => move({ times }));
      if (!hasGoals) return knob;
      const goal = choice(t.goal, goals, "bytes", (goal) => move({ goal }), t.goals);
      return make("div", {}, knob, goal);
    },
    note,
  );
}

/** Three methods at one size (§2.2). */
export const tradeoffFigure = (stage: Stage): HTMLElement =>
  methodsFigure(stage, ["pruning", "quantization", "lowRank"], { hasGoals: false });

/** The families that can do without training, at one size or at one amount of work (§5). */
export const familiesFigure = (stage: Stage): HTMLElement =>
  methodsFigure(stage, methods, {
    hasGoals: true,
    note: stage.words.live + stage.words.stop + stage.words.smallNetwork,
  });
