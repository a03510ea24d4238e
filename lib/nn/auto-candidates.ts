// §3.2.1, item 3: what each layer costs at each width, on the predictions of the whole network.

import { type Choice, chooseGrid, type Grid, quantizedBytes, roundOn } from "../quantization/index.ts";
import { errorsOf, momentsOf, type Told, type Work } from "./auto-work.ts";
import { Replay } from "./replay.ts";
import { divergenceOf } from "./tasks.ts";
import { type Kernel, setWeights } from "./weights.ts";

/** A layer at one width: its grid, and what rounding on it does. */
export interface Candidate extends Choice {
  /** Whether the cost was measured, or follows from another width's. */
  measured: boolean;
  grid: Grid;
  range: "max" | "mse";
  outputError: number;
}

// Small disturbances grow with the squared error of the layer's outputs, and large ones are too many to matter: between
// these bounds, in nats an image, the divergence is measured; beyond them it is taken to grow with that error, from the
// nearest measure.
const small = 0.05;
const large = 0.5;

/**
 * Each layer at each width: the best grid, and how much it disturbs the predictions with all other layers as they were.
 *
 * @returns by kernel, the widths in their order
 */
export async function candidatesOf(work: Work, told: Told): Promise<Record<string, Candidate[]>> {
  const { model, held, kernels, weights, widths } = work;
  const found: Record<string, Candidate[]> = {};
  const replay = new Replay(model, held, work.options);
  try {
    const reference = await replay.outputs();
    for (const [k, kernel] of kernels.entries()) {
      const { name } = kernel;
      await replay.advance(kernel.layerName);
      const statistics = await momentsOf(work, replay, kernel, held);
      const errorOf = errorsOf(weights[name], statistics);
      const candidates: Candidate[] = widths.map((bits) => ({
        ...bestGrid(weights[name], kernel, errorOf, bits),
        cost: Number.NaN,
        measured: false,
      }));
      const measure = async (i: number): Promise<number> => {
        await measureCost(work, replay, reference, name, candidates[i]);
        told((k + 0.5) / kernels.length, `${name} in ${widths[i]} bits`);
        return candidates[i].cost;
      };
      // From the middle outwards, as far as it is worth it.
      const middle = (widths.length - 1) >> 1;
      for (let i = middle; i < widths.length; i++) if ((await measure(i)) <= small) break;
      for (let i = middle - 1, known = middle; i >= 0; i--) {
        if (costAfter(candidates[known], candidates[i]) <= small) continue;
        if ((await measure(i)) >= large) break;
        known = i;
      }
      extrapolate(candidates);
      setWeights(model, { [name]: weights[name] });
      found[name] = candidates;
      told((k + 1) / kernels.length, name);
    }
  } finally {
    replay.dispose();
  }
  return found;
}

/**
 * Measures what a choice of widths rests on: those that follow from a larger width alone, for small widths disturb more than
 * in proportion.
 *
 * @param picks by kernel, the index into its candidates, whose costs change
 * @returns whether all was known already
 */
export async function confirmPicks(
  work: Work,
  candidates: Record<string, Candidate[]>,
  picks: Record<string, number>,
): Promise<boolean> {
  const { model, held, weights } = work;
  const unsure = work.kernels.filter(({ name }) => {
    const [pick, ...above] = candidates[name].slice(picks[name]);
    return !pick.measured && above.some(({ measured }) => measured);
  });
  if (unsure.length === 0) return true;
  const replay = new Replay(model, held, work.options);
  try {
    const reference = await replay.outputs();
    for (const { name, layerName } of unsure) {
      await replay.advance(layerName);
      await measureCost(work, replay, reference, name, candidates[name][picks[name]]);
      setWeights(model, { [name]: weights[name] });
      extrapolate(candidates[name]);
    }
  } finally {
    replay.dispose();
  }
  return false;
}

/** Measures a candidate on the network, which is left with it. */
async function measureCost(
  { model, weights, outputs }: Work,
  replay: Replay,
  reference: Float32Array[],
  name: string,
  candidate: Candidate,
): Promise<void> {
  setWeights(model, { [name]: roundOn(candidate.grid, weights[name]) });
  candidate.cost = divergenceOf(outputs, reference, await replay.outputs());
  candidate.measured = true;
}

/** Fills in what was not measured: from the next width above that was, or the last one. */
function extrapolate(candidates: Candidate[]): void {
  for (const [i, candidate] of candidates.entries()) {
    if (candidate.measured) continue;
    const above = candidates.find(({ measured }, at) => at > i && measured);
    candidate.cost = costAfter(above ?? candidates.findLast(({ measured }) => measured)!, candidate);
  }
}

/** What a width costs that was not measured, in proportion to the squared error of the layer's outputs. */
function costAfter(known: Candidate, candidate: Candidate): number {
  return known.outputError === 0 ? known.cost : (known.cost * candidate.outputError) / known.outputError;
}

/** Of per tensor and per channel, by max and by MSE: the grid with the least error, rounding to nearest. */
function bestGrid(
  weights: Float32Array,
  { shape, axis, span }: Kernel,
  errorOf: (after: Float32Array) => number,
  bits: number,
): Omit<Candidate, "cost" | "measured"> {
  const tried = [{}, { axis, span }].map((channels) => {
    const [byMax, byMse] = (["max", "mse"] as const).map((range) => {
      const grid = chooseGrid(weights, { bits, range, shape, ...channels });
      return { range, grid, outputError: errorOf(roundOn(grid, weights)) };
    });
    return byMax.outputError <= byMse.outputError ? byMax : byMse;
  });
  // One scale a channel costs a few bytes: it must earn them with a tenth less error.
  const best = tried[1].outputError < 0.9 * tried[0].outputError ? tried[1] : tried[0];
  return { ...best, bytes: quantizedBytes(best.grid) };
}
