import assert from "node:assert/strict";
import {
  applyMasks,
  endlessPlan,
  globalSparsity,
  iterativePrune,
  keepAtLeast,
  layerSparsity,
  type Masks,
  magnitude,
  type Prunable,
  prunePlan,
  schedules,
  sparsityOf,
} from "../../lib/pruning/index.ts";
import { normal, seeded } from "../../lib/util/random.ts";

type Weights = Record<string, Float32Array>;

/**
 * A model small enough to be trained exactly: y = Σ w·x on whitened inputs, so that the best weights under a mask
 * are the true ones that it keeps, and accuracy is 1 − the share of the variance that is lost.
 */
function regression(seed = 1, size = 40) {
  const random = seeded(seed);
  const truth: Weights = {
    a: Float32Array.from({ length: size }, () => normal(random)),
    b: Float32Array.from({ length: size / 2 }, () => normal(random)),
  };
  const total = Object.values(truth).reduce((sum, t) => sum + t.reduce((s, x) => s + x * x, 0), 0);
  const model = {
    weights: structuredClone(truth),
    truth,
    tuned: [] as number[],
    score: () => ({ a: magnitude(model.weights.a), b: magnitude(model.weights.b) }),
    fineTune(masks: Masks, step: number) {
      model.tuned.push(step);
      // Half-way towards the optimum from wherever the weights are: fine-tuning that shows where it began.
      const middle = { a: truth.a.map((t, i) => (t + model.weights.a[i]) / 2) } as Weights;
      middle.b = truth.b.map((t, i) => (t + model.weights.b[i]) / 2);
      model.weights = applyMasks(middle, masks);
    },
    evaluate() {
      let lost = 0;
      for (const layer of ["a", "b"]) {
        for (let i = 0; i < truth[layer].length; i++)
          lost += (truth[layer][i] - model.weights[layer][i]) ** 2;
      }
      return 1 - lost / total;
    },
    save: () => structuredClone(model.weights),
    restore(state: Weights) {
      model.weights = structuredClone(state);
    },
  };
  return model satisfies Prunable<Weights>;
}

describe("§3.1.4 schedules", () => {
  it("follow their formulas", () => {
    assert.deepEqual(
      prunePlan({ schedule: "linear", sparsity: 0.8, steps: 4 }),
      [0.2, 0.4, 0.6000000000000001, 0.8],
    );
    assert.deepEqual(prunePlan({ schedule: "oneShot", sparsity: 0.8, steps: 3 }), [0.8, 0.8, 0.8]);
    // Zhu and Gupta's equation (1) from 0.5 to 0.9 in 4 steps, by hand: 0.9 − 0.4·(1 − t)³.
    const cubic = prunePlan({ sparsity: 0.9, steps: 4, initial: 0.5 });
    for (const [i, s] of [0.73125, 0.85, 0.89375, 0.9].entries()) assert.ok(Math.abs(cubic[i] - s) < 1e-12);
    // 20 % of what is left, three times.
    // What is left falls from 1 to 0.01: its logarithm, after half of the steps, by 7/8.
    const logCubic = prunePlan({ schedule: "logCubic", sparsity: 0.99, steps: 4 });
    assert.ok(Math.abs(1 - logCubic[1] - 0.01 ** 0.875) < 1e-12, `${1 - logCubic[1]} left`);
    const geometric = prunePlan({ schedule: "geometric", sparsity: 1 - 0.8 ** 3, steps: 3 });
    for (const [i, s] of [0.2, 0.36, 0.488].entries()) assert.ok(Math.abs(geometric[i] - s) < 1e-12);
    const endless = [];
    for (const sparsity of endlessPlan(0.2)) {
      if (endless.push(sparsity) === 3) break;
    }
    for (const [i, s] of [0.2, 0.36, 0.488].entries()) assert.ok(Math.abs(endless[i] - s) < 1e-12);
  });

  it("rise, within their bounds, to exactly the target", () => {
    const random = seeded(4);
    for (const schedule of schedules) {
      for (const [initial, sparsity] of [
        [0, 0],
        [1, 1],
        [0, 1],
        ...Array.from({ length: 10 }, () => [random(), random()].sort()),
      ]) {
        const steps = 1 + Math.floor(random() * 7);
        const plan = prunePlan({ schedule, initial, sparsity, steps });
        assert.equal(plan.length, steps);
        assert.equal(plan.at(-1), sparsity);
        for (const [i, s] of plan.entries())
          assert.ok(s >= (plan[i - 1] ?? initial) - 1e-15 && s <= sparsity + 1e-15);
      }
    }
  });

  it("refuse what is not allowed", () => {
    assert.throws(
      () => prunePlan({ sparsity: 1.2, steps: 3 }),
      /sparsity must be a number from 0 to 1, got 1.2/,
    );
    assert.throws(
      () => prunePlan({ sparsity: 0.5, steps: 0 }),
      /steps must be a whole number of at least 1, got 0/,
    );
    assert.throws(
      () => prunePlan({ sparsity: 0.5, initial: 0.6, steps: 1 }),
      /initial must be a number from 0 to 0.5, got 0.6/,
    );
    assert.throws(
      () => prunePlan({ schedule: "quartic" as "cubic", sparsity: 0.5, steps: 1 }),
      /schedule must be one of "linear", "cubic", "logCubic", "geometric", "oneShot", got "quartic"/,
    );
    assert.throws(() => endlessPlan(0), /rate must be a number/);
    assert.throws(() => endlessPlan(1), /rate must be a number/);
  });
});

describe("§3.1.4 iterative pruning", () => {
  it("carries out a plan, fine-tuning after each step, and never un-prunes", async () => {
    const model = regression();
    const seen: Masks[] = [];
    const fineTune = model.fineTune;
    model.fineTune = (masks, step) => {
      seen.push(masks);
      fineTune(masks, step);
    };
    const plan = prunePlan({ sparsity: 0.9, steps: 4 });
    const { best, history, ended } = await iterativePrune(model, { plan });
    assert.equal(ended, "plan done");
    assert.deepEqual(
      history.map(({ sparsity }) => sparsity),
      [0, ...plan].map((s) => Math.round(s * 60) / 60),
    );
    assert.deepEqual(model.tuned, [1, 2, 3, 4]);
    for (let i = 1; i < seen.length; i++) {
      for (const layer of ["a", "b"]) assert.ok(seen[i][layer].every((m, j) => m <= seen[i - 1][layer][j]));
    }
    assert.equal(best.sparsity, 0.9);
    assert.equal(best.step, 4);
    assert.equal(sparsityOf(best.masks), 0.9);
    assert.deepEqual(best.state, model.weights);
    assert.equal(best.accuracy, model.evaluate());
    assert.equal(history[0].accuracy, 1);
  });

  it("finds the best masks there are, where magnitude is all that counts", async () => {
    const model = regression(2);
    const { best } = await iterativePrune(model, { plan: prunePlan({ sparsity: 0.5, steps: 5 }) });
    const all = [...model.truth.a, ...model.truth.b].map((t) => t * t).sort((a, b) => a - b);
    const lost = all.slice(0, 30).reduce((sum, t) => sum + t, 0);
    const total = all.reduce((sum, t) => sum + t, 0);
    assert.ok(Math.abs(best.accuracy - (1 - lost / total)) < 1e-6);
  });

  it("prunes down to an accuracy floor and returns the sparsest that met it", async () => {
    const model = regression(3);
    const steps: number[] = [];
    const { best, history, ended } = await iterativePrune(model, {
      plan: endlessPlan(0.2),
      accuracyFloor: 0.9,
      onStep: ({ step }) => steps.push(step),
    });
    assert.equal(ended, "floor missed");
    assert.ok(best.accuracy >= 0.9);
    assert.deepEqual(history.at(-1)!.met, false);
    assert.ok(history.at(-1)!.accuracy < 0.9);
    assert.deepEqual(best.step, history.length - 2);
    assert.ok(history.slice(0, -1).every(({ met }) => met));
    assert.equal(model.evaluate(), best.accuracy, "the model ends in its best state");
    assert.deepEqual(
      steps,
      history.map(({ step }) => step),
    );
  });

  it("halves its way towards the floor when asked to", async () => {
    const coarse = await iterativePrune(regression(3), { plan: endlessPlan(0.2), accuracyFloor: 0.9 });
    const fine = await iterativePrune(regression(3), {
      plan: endlessPlan(0.2),
      accuracyFloor: 0.9,
      refine: 5,
    });
    assert.equal(fine.history.length, coarse.history.length + 5);
    assert.ok(fine.best.sparsity > coarse.best.sparsity);
    assert.ok(fine.best.accuracy >= 0.9);
    // One weight more would miss the floor: that many halvings of a step of 60 weights leave no room.
    const misses = fine.history.filter(({ met }) => !met).map(({ sparsity }) => sparsity);
    assert.ok(Math.min(...misses) - fine.best.sparsity < 1.5 / 60);
  });

  it("rewinds before each fine-tuning: the lottery ticket", async () => {
    const model = regression(5);
    const early = { a: model.truth.a.map((t) => t / 4), b: model.truth.b.map((t) => t / 4) };
    const { best } = await iterativePrune(model, {
      plan: prunePlan({ sparsity: 0.5, steps: 3 }),
      rewindTo: early,
    });
    for (const layer of ["a", "b"]) {
      for (const [i, t] of model.truth[layer].entries()) {
        // One fine-tuning from t/4 gives (t + t/4)/2, however many steps there were.
        const expected = best.masks[layer][i] * ((t + Math.fround(t / 4)) / 2);
        assert.ok(Math.abs(model.weights[layer][i] - expected) < 1e-6);
      }
    }
  });

  it("takes any strategy", async () => {
    const { best } = await iterativePrune(regression(), {
      plan: [0.25, 0.5],
      select: (scores, sparsity, previous) => layerSparsity(scores, sparsity, { previous }),
    });
    assert.equal(sparsityOf(best.masks.a), 0.5);
    assert.equal(sparsityOf(best.masks.b), 0.5);
  });

  it("stops when told to, when nothing is left, and at once for an empty plan", async () => {
    const abort = new AbortController();
    const stopped = await iterativePrune(regression(), {
      plan: endlessPlan(0.1),
      signal: abort.signal,
      onStep: ({ step }) => step === 2 && abort.abort(),
    });
    assert.equal(stopped.ended, "aborted");
    assert.equal(stopped.best.step, 2);
    const midway = regression();
    const interrupt = new AbortController();
    const fineTune = midway.fineTune;
    midway.fineTune = (masks, step) => {
      fineTune(masks, step);
      if (step === 3) interrupt.abort();
      interrupt.signal.throwIfAborted();
    };
    const half = await iterativePrune(midway, { plan: endlessPlan(0.1), signal: interrupt.signal });
    assert.deepEqual([half.ended, half.best.step, half.history.length], ["aborted", 2, 3]);
    assert.equal(midway.evaluate(), half.best.accuracy);
    midway.fineTune = () => {
      throw new Error("the loss is NaN");
    };
    await assert.rejects(iterativePrune(midway, { plan: [0.5] }), /the loss is NaN/);
    const nothing = await iterativePrune(regression(), { plan: endlessPlan(0.5) });
    assert.equal(nothing.ended, "nothing left");
    assert.equal(nothing.best.sparsity, 1);
    const none = await iterativePrune(regression(), { plan: [] });
    assert.deepEqual([none.ended, none.best.sparsity, none.history.length], ["plan done", 0, 1]);
  });

  it("skips steps that prune nothing, and ends where the strategy keeps the rest", async () => {
    const model = regression();
    const { best, history, ended } = await iterativePrune(model, {
      plan: endlessPlan(0.3),
      select: (scores, sparsity, previous) =>
        keepAtLeast(globalSparsity(scores, sparsity, { previous }), scores, 2, { previous }),
    });
    assert.equal(ended, "nothing left");
    assert.equal(best.sparsity, 56 / 60);
    for (let i = 1; i < history.length; i++) assert.ok(history[i].sparsity > history[i - 1].sparsity);
    const oneShot = await iterativePrune(regression(), {
      plan: prunePlan({ schedule: "oneShot", sparsity: 0.5, steps: 3 }),
    });
    assert.equal(oneShot.history.length, 4, "but a plan may say to fine-tune again");
  });

  it("refuses a floor above what the model has, and sparsities outside [0, 1]", async () => {
    await assert.rejects(
      iterativePrune(regression(), { plan: [0.5], accuracyFloor: 1.1 }),
      /accuracyFloor must be at most the accuracy before pruning, 1, got 1.1/,
    );
    await assert.rejects(
      iterativePrune(regression(), { plan: [1.5] }),
      /plan's sparsity must be a number from 0 to 1, got 1.5/,
    );
    await assert.rejects(
      iterativePrune(regression(), { plan: [0.5], refine: -1 }),
      /refine must be a whole number of at least 0, got -1/,
    );
    await assert.rejects(
      iterativePrune(regression(), { plan: [0.5], accuracyFloor: Number.NaN }),
      /accuracyFloor must be a number, got NaN/,
    );
  });
});
