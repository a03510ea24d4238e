// §3.2.1, item 3: which layer gets how many bits. A choice a layer, costs that add up, one budget of bytes: the
// multiple-choice knapsack problem, solved exactly.
import { checkInteger, checkNumber } from "../util/check.ts";

/** One way to store a layer. */
export interface Choice {
  /** Bytes it takes. */
  bytes: number;
  /** How much it hurts, in any unit that adds up over layers. */
  cost: number;
}

/** A choice for every layer. */
export interface Allocation extends Choice {
  /** Index into each layer's choices. */
  picks: number[];
}

/**
 * All allocations that no other beats in both bytes and cost, by growing bytes: layer by layer every kept combination
 * meets every choice, and what is beaten falls away.
 *
 * @param layers the choices for each layer; each at least one
 * @param limit at most so many are kept after each layer, evenly over the bytes; default 20,000, which small networks
 *   never reach
 */
export function paretoAllocations(layers: readonly (readonly Choice[])[], limit = 20000): Allocation[] {
  // The ends of the front are always kept.
  checkInteger("limit", limit, 2);
  let front: Partial[] = [{ bytes: 0, cost: 0, pick: -1, before: undefined }];
  for (const [index, choices] of layers.entries()) {
    if (choices.length === 0) throw new RangeError(`layer ${index} must have at least one choice, got none`);
    for (const { bytes, cost } of choices) {
      checkNumber("bytes", bytes, 0);
      checkNumber("cost", cost);
    }
    const next = front.flatMap((before) =>
      choices.map((choice, pick) => ({
        bytes: before.bytes + choice.bytes,
        cost: before.cost + choice.cost,
        pick,
        before,
      })),
    );
    next.sort((a, b) => a.bytes - b.bytes || a.cost - b.cost);
    front = [];
    for (const candidate of next) {
      if (front.length === 0 || candidate.cost < front[front.length - 1].cost) front.push(candidate);
    }
    if (front.length > limit) {
      const all = front;
      front = Array.from({ length: limit }, (_, i) => all[Math.round((i * (all.length - 1)) / (limit - 1))]);
    }
  }
  return front.map((last) => {
    const picks = new Array<number>(layers.length);
    let one = last;
    for (let i = layers.length - 1; i >= 0; i--, one = one.before!) picks[i] = one.pick;
    return { bytes: last.bytes, cost: last.cost, picks };
  });
}

/** The choices of the first layers, from the last of them back: most are beaten before their picks are wanted as a list. */
interface Partial extends Choice {
  pick: number;
  before: Partial | undefined;
}

/**
 * The allocation with the least cost within a budget of bytes.
 *
 * @throws RangeError where even the smallest choices take more
 */
export function allocate(layers: readonly (readonly Choice[])[], budget: number): Allocation {
  checkNumber("budget", budget, 0);
  const front = paretoAllocations(layers);
  const fitting = front.filter(({ bytes }) => bytes <= budget);
  if (fitting.length === 0) {
    throw new RangeError(`budget must be at least ${front[0].bytes} bytes for these layers, got ${budget}`);
  }
  return fitting[fitting.length - 1];
}
