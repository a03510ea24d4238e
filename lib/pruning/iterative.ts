// §3.1.4: prune, fine-tune, repeat, to a sparsity or down to an accuracy floor. The loop knows no framework:
// what it prunes scores, trains, evaluates and remembers itself.

import { checkInteger, checkNumber } from "../util/check.ts";
import { type Masks, sparsityOf } from "./mask.ts";
import { globalSparsity, type Scores } from "./strategies.ts";

type Awaitable<T> = T | Promise<T>;

/** What the loop asks of a model; `State` is whatever the model needs to come back to where it was. */
export interface Prunable<State> {
  /** §3.1.4 step 2: importance scores of the model as it is now. */
  score(): Awaitable<Scores>;
  /** §3.1.4 step 3: sets pruned weights to 0 and trains; the masks hold meanwhile. */
  fineTune(masks: Masks, step: number): Awaitable<void>;
  /** Accuracy from 0 to 1, or any other figure of which more is better. */
  evaluate(): Awaitable<number>;
  /** A copy of the weights. */
  save(): Awaitable<State>;
  /** Puts a saved copy back. */
  restore(state: State): Awaitable<void>;
}

/** One line of history; step 0 is the model before pruning. */
export interface PruneStep {
  step: number;
  sparsity: number;
  accuracy: number;
  /** Whether the accuracy is at least the floor. */
  met: boolean;
}

export interface IterativeOptions<State> {
  /** The sparsity after each step: from prunePlan for a sparsity to reach, endlessPlan for a floor only. */
  plan: Iterable<number>;
  /** The masks for a sparsity, given those from before (default: the lowest scores of all layers). */
  select?: (scores: Scores, sparsity: number, previous: Masks) => Masks;
  /** Stops at the first step whose accuracy is below; without it, the plan is carried out to its end. */
  accuracyFloor?: number;
  /** After missing the floor, how many times to try half-way between what met it and what did not (default 0). */
  refine?: number;
  /** Before each fine-tuning, weights go back to these: the lottery ticket's rewinding. */
  rewindTo?: State;
  /** Called after each step. */
  onStep?: (step: PruneStep) => void;
  /** Ends the loop; what was reached is returned. */
  signal?: AbortSignal;
}

export interface IterativeResult<State> {
  /** The sparsest model that met the floor (without a floor, the last). The model itself is in that state, too. */
  best: PruneStep & { state: State; masks: Masks };
  history: PruneStep[];
  /** Why it ended; `nothing left` is all that may be pruned. */
  ended: "plan done" | "floor missed" | "nothing left" | "aborted";
}

/**
 * Prunes step by step, fine-tuning in between.
 *
 * @param model in training; ends in the state of `best`
 * @throws RangeError if the plan leaves [0, 1], or the model misses the floor before anything is pruned
 * @see §3.1.4; Han et al., 2015; Zhu, Gupta, 2017; Frankle, Carbin, "The lottery ticket hypothesis", 2019
 */
export async function iterativePrune<State>(
  model: Prunable<State>,
  options: IterativeOptions<State>,
): Promise<IterativeResult<State>> {
  const { plan, accuracyFloor: floor, rewindTo, onStep, signal } = options;
  const select =
    options.select ?? ((scores, sparsity, previous) => globalSparsity(scores, sparsity, { previous }));
  let trials = checkInteger("refine", options.refine ?? 0, 0);
  if (floor !== undefined) checkNumber("accuracyFloor", floor);

  const history: PruneStep[] = [];
  const record = async (masks: Masks) => {
    const accuracy = await model.evaluate();
    const step: PruneStep = {
      step: history.length,
      sparsity: sparsityOf(masks),
      accuracy,
      met: floor === undefined || accuracy >= floor,
    };
    history.push(step);
    onStep?.(step);
    return step;
  };

  const dense: Masks = Object.fromEntries(
    Object.entries(await model.score()).map(([layer, scores]) => [
      layer,
      new Uint8Array(scores.length).fill(1),
    ]),
  );
  const first = await record(dense);
  if (!first.met) {
    throw new RangeError(
      `accuracyFloor must be at most the accuracy before pruning, ${first.accuracy}, got ${floor}`,
    );
  }
  let best = { ...first, state: await model.save(), masks: dense };
  const finish = async (ended: IterativeResult<State>["ended"]) => {
    await model.restore(best.state);
    return { best, history, ended };
  };

  const steps = plan[Symbol.iterator]();
  let missedAt: number | undefined;
  let asked = 0;
  let scores: Scores | undefined;
  for (;;) {
    if (signal?.aborted) return finish("aborted");
    if (best.sparsity === 1) return finish("nothing left");
    let sparsity: number;
    if (missedAt === undefined) {
      const next = steps.next();
      if (next.done) return finish("plan done");
      sparsity = checkNumber("plan's sparsity", next.value, 0, 1);
    } else {
      if (trials-- === 0) return finish("floor missed");
      sparsity = (best.sparsity + missedAt) / 2;
    }
    scores ??= await model.score();
    const masks = select(scores, sparsity, best.masks);
    // A step that asks for more and prunes nothing, because it is too small or the strategy keeps the rest, is none.
    const idle = sparsity > asked && sparsityOf(masks) === best.sparsity;
    if (idle && sparsity === 1) return finish("nothing left");
    asked = Math.max(asked, sparsity);
    if (idle) continue;
    scores = undefined;
    if (rewindTo !== undefined) await model.restore(rewindTo);
    try {
      await model.fineTune(masks, history.length);
    } catch (error) {
      if (signal?.aborted) return finish("aborted");
      throw error;
    }
    const step = await record(masks);
    if (step.met) {
      best = { ...step, state: await model.save(), masks };
    } else {
      missedAt = step.sparsity;
      // The next attempt starts again from weights that met the floor.
      await model.restore(best.state);
    }
  }
}
