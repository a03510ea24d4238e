// §4.3 The records as data: what each starts from, learns from and does. `reproduce` runs them; a new one is an entry here.

import type { PretrainedName } from "../../nn/index.ts";
import { checkOneOf, shown } from "../../util/check.ts";
import { deepCompression } from "../deep-compression.ts";
import type { Lesson } from "../lesson.ts";
import type { Recipe } from "../recipe.ts";

/** The experiments that `reproduce` knows. */
export const experimentNames = [
  "deep-compression-300-100",
  "deep-compression-lenet-5",
  "compact-lenet-300-100",
  "compact-lenet-5",
  "fashion-lenet-300-100",
  "fashion-lenet-5",
] as const;
export type ExperimentName = (typeof experimentNames)[number];

/** The networks that the records are about. */
export type RecordNetwork = "lenet-300-100" | "lenet-5";

/** One record: everything that decides its figures but the seed. */
export interface Experiment {
  /** What it shows, in a sentence. */
  title: string;
  network: RecordNetwork;
  /** Names of data sets: the first one that lies on this machine is taken. */
  data: readonly string[];
  /** A network that ships, in the seed's edition where there is one, or how to train a fresh one on the labels. */
  start: { shipped: PretrainedName } | { train: Recipe };
  /** What makes the file. */
  recipe: Recipe;
  /** The whole network, trained on for as many epochs, by the same teacher. */
  reference: Recipe;
}

/** Passes over the data of a whole recipe. */
export function epochsOf(recipe: Recipe): number {
  return recipe.reduce((sum, step) => {
    if (step.technique === "pruneIteratively") return sum + (step.steps ?? 5) * (step.fineTune?.epochs ?? 0);
    return sum + ("epochs" in step ? (step.epochs ?? 0) : 0);
  }, 0);
}

/** How the strong recipe is set: kept weights, levels, epochs. */
interface Strong {
  /** The share of the kernels' weights that stays. */
  kept: number;
  /** Epochs of pruning to a tenth, of pruning to `kept`, of repair, of training the steps, and at the end. */
  epochs: readonly [tenth: number, prune: number, repair: number, steps: number, last: number];
  /** The greatest level of a weight; default 4. */
  most?: number;
  /** Bits of biases. */
  biasBits: number;
  /** Adam's learning rates from a tenth of the weights on, and while steps are trained; default 0.001 and 0.0005. */
  rates?: { few: number; steps: number };
  lesson: Omit<Lesson, "epochs">;
}

/** Prune while training by importance a bit, repair, learn the steps, round the biases: every part a technique. */
function strong({ kept, epochs, most = 4, biasBits, rates, lesson }: Strong): Recipe {
  const [tenth, prune, repair, steps, last] = epochs;
  const taught = { sparse: true, ...lesson };
  const few = rates ? { ...taught, learningRate: rates.few } : taught;
  const sparsity = Number((1 - kept).toFixed(5));
  return [
    {
      technique: "pruneWhileTraining",
      sparsity: Math.min(0.9, sparsity),
      until: 1,
      epochs: tenth,
      ...lesson,
    },
    { technique: "pruneWhileTraining", sparsity, until: 0.9, epochs: prune, ...few },
    { technique: "foldDeadUnits" },
    { technique: "distill", epochs: repair, decay: "cosine", ...few },
    {
      technique: "learnSteps",
      most,
      epochs: steps,
      decay: "cosine",
      ...taught,
      learningRate: rates?.steps ?? 0.0005,
    },
    { technique: "quantizeBiases", bits: biasBits },
    { technique: "distill", epochs: last, decay: "cosine", ...taught, learningRate: 0.0001 },
    { technique: "sortUnits" },
  ];
}

const whole = (recipe: Recipe, lesson: Omit<Lesson, "epochs">): Recipe => [
  { technique: "distill", epochs: epochsOf(recipe), decay: "cosine", ...lesson },
];

/** Of LeNet-5, trained on 8,000 digits that are moved about. */
const digits: Omit<Lesson, "epochs"> = {
  teacher: "lenet-5",
  temperature: 3,
  mixing: 0.9,
  batchSize: 128,
  shift: 2,
};
const clothes: Omit<Lesson, "epochs"> = {
  teacher: "original",
  temperature: 3,
  mixing: 0.7,
  batchSize: 128,
  shift: 1,
};

const paper300 = deepCompression("lenet-300-100");
const paper5 = deepCompression("lenet-5");
const onLabels = (recipe: Recipe): Recipe => [
  { technique: "fineTune", epochs: epochsOf(recipe), shift: 2, decay: "cosine" },
];
/** Few weights bear longer steps than many: at Adam's usual 0.001 they have not learned all that they can hold. */
const rates = { few: 0.004, steps: 0.003 };
const compact300 = strong({ kept: 0.0187, epochs: [16, 80, 50, 100, 4], biasBits: 5, rates, lesson: digits });
const compact5 = strong({
  kept: 0.0174,
  epochs: [4, 12, 12, 7, 2],
  biasBits: 5,
  lesson: { ...digits, sparse: false },
});
const fashion300 = strong({ kept: 0.055, epochs: [6, 20, 10, 22, 2], biasBits: 5, rates, lesson: clothes });
const fashion5 = strong({ kept: 0.045, epochs: [5, 10, 6, 4, 1], biasBits: 5, lesson: clothes });
const freshClothes: Recipe = [
  { technique: "fineTune", epochs: 15, batchSize: 128, shift: 1, decay: "cosine" },
];
const fashion = ["fashion-mnist", "fashion-10k"];

/** Every record by its name. */
export const experiments: Record<ExperimentName, Experiment> = {
  "deep-compression-300-100": {
    title: "The paper's pipeline on LeNet-300-100: its tables 1 and 2",
    network: "lenet-300-100",
    data: ["mnist-10k"],
    start: { shipped: "lenet-300-100" },
    recipe: paper300,
    reference: onLabels(paper300),
  },
  "deep-compression-lenet-5": {
    title: "The paper's pipeline on LeNet-5: its tables 1 and 3",
    network: "lenet-5",
    data: ["mnist-10k"],
    start: { shipped: "lenet-5" },
    recipe: paper5,
    reference: onLabels(paper5),
  },
  "compact-lenet-300-100": {
    title: "LeNet-300-100 in a few kilobytes",
    network: "lenet-300-100",
    data: ["mnist-10k"],
    start: { shipped: "lenet-300-100" },
    recipe: compact300,
    reference: whole(compact300, digits),
  },
  "compact-lenet-5": {
    title: "LeNet-5 in a few kilobytes",
    network: "lenet-5",
    data: ["mnist-10k"],
    start: { shipped: "lenet-5" },
    recipe: compact5,
    reference: whole(compact5, digits),
  },
  "fashion-lenet-300-100": {
    title: "Fashion-MNIST in LeNet-300-100",
    network: "lenet-300-100",
    data: fashion,
    start: { train: freshClothes },
    recipe: fashion300,
    reference: whole(fashion300, clothes),
  },
  "fashion-lenet-5": {
    title: "Fashion-MNIST in LeNet-5",
    network: "lenet-5",
    data: fashion,
    start: { train: freshClothes },
    recipe: fashion5,
    reference: whole(fashion5, clothes),
  },
};

/** What may be set otherwise than a record has it: each pair makes a point of a front, bytes against mistakes. */
export interface ExperimentSettings {
  /** The share of the kernels' weights that stays, above 0 and below 1. */
  kept?: number;
  /** How many times the record's epochs, in file and reference alike; 0.01 to 100, and each step has at least one. */
  longer?: number;
}

/**
 * A record with other settings.
 *
 * @throws RangeError for settings that are none, and for records that do not prune while they train
 */
export function experimentWith(name: ExperimentName, { kept, longer }: ExperimentSettings): Experiment {
  const experiment = experiments[checkOneOf("name", name, experimentNames)];
  if (kept === undefined && longer === undefined) return experiment;
  if (!experiment.recipe.some(isPruning)) {
    const able = experimentNames.filter((one) => experiments[one].recipe.some(isPruning));
    throw new RangeError(`kept and longer are settings of ${able.join(", ")}, not of ${name}`);
  }
  if (kept !== undefined && !(kept > 0 && kept < 1))
    throw new RangeError(`kept must be above 0 and below 1, got ${shown(kept)}`);
  if (longer !== undefined && !(longer >= 0.01 && longer <= 100))
    throw new RangeError(`longer must be from 0.01 to 100, got ${shown(longer)}`);
  const lastPruning = experiment.recipe.findLast(isPruning);
  const recipe = experiment.recipe.map((step): Recipe[number] => {
    const set = { ...step };
    if (kept !== undefined && isPruning(set)) {
      const sparsity = Number((1 - kept).toFixed(5));
      set.sparsity = step === lastPruning ? sparsity : Math.min(set.sparsity, sparsity);
    }
    if (longer !== undefined && "epochs" in set && set.epochs !== undefined)
      set.epochs = Math.max(1, Math.round(longer * set.epochs));
    return set;
  });
  const said = [
    ...(kept === undefined ? [] : [`${Number((100 * kept).toFixed(3))} % of the weights kept`]),
    ...(longer === undefined ? [] : [`${longer} times the epochs`]),
  ];
  return {
    ...experiment,
    title: `${experiment.title}, ${said.join(", ")}`,
    recipe,
    reference: experiment.reference.map((step) => ({ ...step, epochs: epochsOf(recipe) })) as Recipe,
  };
}

const isPruning = (
  step: Recipe[number],
): step is Extract<Recipe[number], { technique: "pruneWhileTraining" }> =>
  step.technique === "pruneWhileTraining";
