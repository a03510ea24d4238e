// §2.3 The techniques that a recipe may name. A new one is a file in techniques/ and an entry here: its fields are then
// checked, its steps typed, and messages and searches know it.

import type { Check } from "./fields.ts";
import type { State } from "./hold.ts";
import type { Context, Outcome } from "./technique.ts";
import { cluster } from "./techniques/cluster.ts";
import { distill } from "./techniques/distill.ts";
import { factorize } from "./techniques/factorize.ts";
import { fineTune } from "./techniques/fine-tune.ts";
import { foldDeadUnits } from "./techniques/fold-dead-units.ts";
import { learnSteps } from "./techniques/learn-steps.ts";
import { pruneIteratively } from "./techniques/prune-iteratively.ts";
import { pruneFilters, pruneNeurons } from "./techniques/prune-units.ts";
import { pruneWeights } from "./techniques/prune-weights.ts";
import { pruneWhileTraining } from "./techniques/prune-while-training.ts";
import { quantize } from "./techniques/quantize.ts";
import { quantizeAutomatically } from "./techniques/quantize-automatically.ts";
import { quantizeBiases } from "./techniques/quantize-biases.ts";
import { sortUnits } from "./techniques/sort-units.ts";

/** The names of all techniques. */
export const techniqueNames = [
  "pruneWeights",
  "pruneFilters",
  "pruneNeurons",
  "pruneIteratively",
  "pruneWhileTraining",
  "foldDeadUnits",
  "sortUnits",
  "quantize",
  "quantizeAutomatically",
  "quantizeBiases",
  "learnSteps",
  "cluster",
  "factorize",
  "distill",
  "fineTune",
] as const;
export type TechniqueName = (typeof techniqueNames)[number];

/** Every technique by its own name: a missing one, or one in another's place, does not compile. */
export const techniques = {
  pruneWeights,
  pruneFilters,
  pruneNeurons,
  pruneIteratively,
  pruneWhileTraining,
  foldDeadUnits,
  sortUnits,
  quantize,
  quantizeAutomatically,
  quantizeBiases,
  learnSteps,
  cluster,
  factorize,
  distill,
  fineTune,
} satisfies {
  [Name in TechniqueName]: { name: Name; fields: Readonly<Record<string, Check>>; run: Run<never> };
};

type Run<Step> = (state: State, step: Step, context: Context) => Promise<Outcome>;
type StepOf<Technique> = Technique extends { run: Run<infer Step> } ? Step : never;

/** One step of a recipe: a technique's name and its fields. */
export type Step = StepOf<(typeof techniques)[TechniqueName]>;

/** Applies one step to a state, in place. */
export function applyStep(state: State, step: Step, context: Context): Promise<Outcome> {
  return (techniques[step.technique].run as Run<Step>)(state, step, context);
}
