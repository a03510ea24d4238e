// Live figures about choices that are made before anything is trained: which layer to prune and how, how fast, and what a
// language model costs on paper.
import { type DecoderShape, decoderCost, tokensPerSecond } from "../../../analysis/language-model.ts";
import { applyMasks } from "../../../pruning/mask.ts";
import { prunePlan, type Schedule } from "../../../pruning/schedule.ts";
import { layerSparsity } from "../../../pruning/strategies.ts";
import { magnitude } from "../../../pruning/weight-scores.ts";
import { seeded } from "../../../util/random.ts";
import { judge, type Stage } from "./knobs.ts";
import { type Network, rightOf, withWeights } from "./network.ts";
import { Bars, choice, Frame, shareSlider, slider } from "./parts.ts";

/** Which weights of a layer go first. */
export const orders = ["smallest", "random", "largest"] as const;
export type Order = (typeof orders)[number];

const scoresBy: Record<Order, (weights: Float32Array) => Float32Array> = {
  smallest: magnitude,
  random: (weights) => Float32Array.from(weights, seeded(1)),
  largest: (weights) => magnitude(weights).map((size) => -size),
};

/** The network with a share of one layer's weights gone, all others whole (§2.1). */
export function withoutSome(network: Network, layer: string, share: number, order: Order): Network {
  const { weights } = network.find(({ name }) => name === layer)!;
  const masks = layerSparsity({ [layer]: scoresBy[order](weights) }, share);
  return withWeights(network, applyMasks({ [layer]: weights }, masks));
}

export function layersFigure(stage: Stage): HTMLElement {
  const { network, digits, words: t } = stage;
  const count = digits.labels.length;
  const judged = judge(stage);
  const layers = network.map(({ name }) => name);
  const bars = new Bars();
  const state = { share: 0.8, layer: layers[0], order: orders[0] as Order };
  const move = (change: Partial<typeof state>) => {
    Object.assign(state, change);
    const { share, layer, order } = state;
    const right = rightOf(withoutSome(network, layer, share, order), digits);
    frame.title(t.layerAlone(layer, t.percent(share), right, count));
    bars.show([
      judged(right),
      ...network.map(({ name, weights }) => {
        const left = name === layer ? Math.round((1 - share) * weights.length) : weights.length;
        return {
          name: t.weightsLeft(name),
          value: left.toLocaleString("en"),
          share: left / network[0].weights.length,
        };
      }),
    ]);
  };
  const frame = new Frame(
    t.live,
    shareSlider(t.sparsity, { most: 99, share: 80, words: t }, (share) => move({ share })),
    choice(t.layer, layers, layers[0], (layer) => move({ layer })),
    choice(t.order, orders, "smallest", (order) => move({ order }), t.orders),
    bars.element,
  );
  move({});
  return frame.element;
}

/** The schedules of chapter 3.1.4. */
export const livePlans = ["oneShot", "linear", "cubic", "geometric"] as const satisfies readonly Schedule[];

/** How sparse a schedule is after each step, and what share of the weights that are left each step takes (§3.1.4). */
export function bitesOf(
  schedule: Schedule,
  sparsity: number,
  steps: number,
): { sparsity: number; bite: number }[] {
  const plan = prunePlan({ schedule, sparsity, steps });
  return plan.map((after, i) => {
    const before = plan[i - 1] ?? 0;
    return { sparsity: after, bite: before === 1 ? 0 : (after - before) / (1 - before) };
  });
}

export function scheduleFigure({ words: t }: Stage): HTMLElement {
  const bars = new Bars();
  const state = { sparsity: 0.98, steps: 5, schedule: "cubic" as (typeof livePlans)[number] };
  const move = (change: Partial<typeof state>) => {
    Object.assign(state, change);
    const bites = bitesOf(state.schedule, state.sparsity, state.steps);
    const largest = bites.reduce((best, { bite }, i) => (bite > bites[best].bite ? i : best), 0);
    frame.title(t.largestBite(largest + 1, t.percent(bites[largest].bite)));
    bars.show(
      bites.map(({ sparsity, bite }, i) => ({
        name: t.stepTo(i + 1, t.percent(sparsity, 1)),
        value: t.percent(bite, 1),
        share: bite,
      })),
    );
  };
  const percent = (value: number) => t.percent(value / 1000, 1);
  const frame = new Frame(
    t.live,
    slider(t.target, { min: 500, max: 995, step: 5, value: 980 }, percent, (v) =>
      move({ sparsity: v / 1000 }),
    ),
    slider(t.steps, { min: 1, max: 10, value: 5 }, String, (steps) => move({ steps })),
    choice(t.schedule, livePlans, "cubic", (schedule) => move({ schedule }), t.schedules),
    bars.element,
  );
  move({});
  return frame.element;
}

/** Decoders by their published shapes (the `config.json` of each). */
export const decoders = {
  "SmolLM2 135M": {
    ...{ layers: 30, width: 576, hidden: 1536, heads: 9, keyValueHeads: 3 },
    ...{ vocabulary: 49152, tied: true },
  },
  "Llama 2 7B": { layers: 32, width: 4096, hidden: 11008, heads: 32, vocabulary: 32000 },
  "Llama 3.1 8B": {
    ...{ layers: 32, width: 4096, hidden: 14336, heads: 32, keyValueHeads: 8 },
    vocabulary: 128256,
  },
  "Llama 3.1 70B": {
    ...{ layers: 80, width: 8192, hidden: 28672, heads: 64, keyValueHeads: 8 },
    vocabulary: 128256,
  },
} as const satisfies Record<string, DecoderShape>;
type Decoder = keyof typeof decoders;
const names = Object.keys(decoders) as Decoder[];

/** Weights that share a scale of 16 bits. */
const groups = ["–", "128", "64", "32"] as const;

export function decoderFigure({ words: t }: Stage): HTMLElement {
  const bars = new Bars();
  const state = {
    model: "Llama 2 7B" as Decoder,
    bits: 4,
    group: "32" as (typeof groups)[number],
    context: 2048,
    bandwidth: 100,
  };
  const move = (change: Partial<typeof state>) => {
    Object.assign(state, change);
    const { model, context, bandwidth, group } = state;
    const bits = state.bits + (group === "–" ? 0 : 16 / Number(group));
    const whole = decoderCost(decoders[model], { context });
    const cost = decoderCost(decoders[model], { bits, context });
    const speed = (each: typeof cost) => tokensPerSecond(each, bandwidth * 1e9);
    const written = (each: typeof cost) => speed(each).toFixed(speed(each) < 100 ? 1 : 0);
    frame.title(t.decoder(model, String(bits), t.gb(cost.bytes), written(cost)));
    bars.show([
      { name: t.weightBytes, value: t.gb(cost.bytes), share: cost.bytes / whole.bytes },
      { name: t.in16, value: t.gb(whole.bytes), share: 1 },
      { name: t.cacheBytes, value: t.gb(cost.cacheBytes), share: cost.cacheBytes / whole.bytes },
      { name: t.tokens, value: written(cost), share: speed(cost) / Math.max(speed(cost), speed(whole)) },
      { name: t.tokens16, value: written(whole), share: speed(whole) / Math.max(speed(cost), speed(whole)) },
    ]);
  };
  const context = (thousands: number) => (thousands * 1024).toLocaleString("en");
  const frame = new Frame(
    t.live,
    choice(t.model, names, state.model, (model) => move({ model })),
    slider(t.bits, { min: 2, max: 16, value: 4 }, String, (bits) => move({ bits })),
    choice(t.group, groups, state.group, (group) => move({ group })),
    slider(t.context, { min: 0, max: 128, value: 2 }, context, (v) => move({ context: v * 1024 })),
    slider(t.bandwidth, { min: 10, max: 1000, step: 10, value: 100 }, String, (bandwidth) =>
      move({ bandwidth }),
    ),
    bars.element,
  );
  move({});
  return frame.element;
}
