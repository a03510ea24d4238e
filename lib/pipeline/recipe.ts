// §2.3 A recipe: techniques in sequence, as plain data that can be kept in a file, hashed, and searched over.

import type { Hint } from "../distillation/index.ts";
import {
  type ConvMethod,
  convMethods,
  type DenseMethod,
  denseMethods,
  type LayerFactors,
  type OptimizerName,
  type PretrainedName,
  pretrainedNames,
  type UnitScore,
  unitScores,
  type WeightScore,
  weightScores,
} from "../nn/index.ts";
import { type PerLayer, type Schedule, schedules } from "../pruning/index.ts";
import type { ClusterStart, RangeMethod, Rounding } from "../quantization/index.ts";
import { checkInteger, checkNumber, checkOneOf, shown } from "../util/check.ts";

/** How to train, as data. */
export interface Training {
  /** Passes over the training images; 0 trains not at all. */
  epochs: number;
  batchSize?: number;
  learningRate?: number;
  /** `cosine` lets the rate fall to 0 along half a cosine; default `none`. */
  decay?: "none" | "cosine";
  optimizer?: OptimizerName;
  /** Moves each image by up to so many pixels, anew in each epoch. */
  shift?: number;
}

interface Common {
  /** Fixes everything random in this step; by default it follows from the run's seed and the step's place. */
  seed?: number;
}

/** §3.1.1: prunes weights, to a sparsity or below a threshold. */
export interface PruneWeights extends Common {
  technique: "pruneWeights";
  /** The share to prune: of all weights together, or of each layer by name. Earlier pruning counts. */
  sparsity?: PerLayer;
  /** Prunes scores below: one for all, or one for each layer by name. */
  threshold?: PerLayer;
  /** With one sparsity for all: whether layers compete (`global`, the default) or each loses the same share. */
  strategy?: "global" | "layer";
  /** Default `magnitude`. */
  score?: WeightScore;
  /** The layers to prune; by default all with a kernel (or those that `sparsity` or `threshold` names). */
  layers?: readonly string[];
  /** How many training images scores are computed from; default 500. */
  images?: number;
}

/** §3.1.2 and §3.1.3: removes filters or neurons, and what depends on them. */
export interface PruneUnits extends Common {
  technique: "pruneFilters" | "pruneNeurons";
  /** The share to remove: of each layer, or by name; with strategy `global` of all together. */
  rate: PerLayer;
  /** Default `layer`. */
  strategy?: "global" | "layer";
  /** Default `l1` for filters, `meanActivation` for neurons. */
  score?: UnitScore;
  images?: number;
}

/** §3.1.4: prunes weights and trains, in turns, to a target, down to a floor, or to whichever comes first. */
export interface PruneIteratively extends Common {
  technique: "pruneIteratively";
  /** The sparsity to reach: of all weights together, or of each layer by name. */
  target?: PerLayer;
  accuracyFloor?: number;
  /** Default 5. */
  steps?: number;
  /** Default `cubic`. */
  schedule?: Schedule;
  /** Without a target: the share of what is left to prune in each step; default 0.2. */
  rate?: number;
  /** How often to halve the way between what met the floor and what did not; default 0. */
  refine?: number;
  score?: WeightScore;
  layers?: readonly string[];
  images?: number;
  /** After each step; default one epoch. */
  training?: Training;
}

/** §3.2.1, item 1: weights in fixed point, and with `activations` (§3.2.2) what flows between layers too. */
export interface Quantize extends Common {
  technique: "quantize";
  /** 1 to 16: one for all, or one for each layer by name. */
  bits: PerLayer;
  /** Default `symmetric`. */
  scheme?: "symmetric" | "affine";
  /** One scale an output, default true. */
  perChannel?: boolean;
  /** Default `max`. */
  range?: RangeMethod;
  /** Default `nearest`. */
  rounding?: Rounding;
  /** Bits of the input and of every layer's outputs but the last; by default they stay floats. */
  activations?: number;
  layers?: readonly string[];
}

/** §3.2.1, item 3: bits and granularity for each layer as its measured sensitivity allows. */
export interface QuantizeAutomatically extends Common {
  technique: "quantizeAutomatically";
  /** What all kernels may take, packed; exactly one of `bytes` and `accuracy`. */
  bytes?: number;
  /** The accuracy to keep. */
  accuracy?: number;
  /** Widths to choose from; default 2, 3, 4, 5, 6 and 8. */
  bits?: readonly number[];
  /** GPTQ: `try` (default) keeps it where it helps. */
  gptq?: "try" | "never";
  equalization?: "try" | "never";
  biasCorrection?: "try" | "never";
  /** Bits of activations; by default they stay floats. */
  activations?: number;
  /** How many training images it looks at; default 500. */
  images?: number;
}

/** §3.2.1, item 2: weights shared within clusters. */
export interface Cluster extends Common {
  technique: "cluster";
  /** K: one for all, or one for each layer by name. */
  clusters: PerLayer;
  /** Default `optimal`. */
  method?: "optimal" | "lloyd";
  /** For `lloyd`; default `linear`. */
  start?: ClusterStart;
  layers?: readonly string[];
}

/** §3.3: low-rank factors in place of layers. */
export interface Factorize extends Common {
  technique: "factorize";
  energy?: number;
  /** Parameters that stay: a share up to 1, a number above. */
  budget?: number;
  /** The accuracy to keep. */
  floor?: number;
  plan?: Record<string, LayerFactors>;
  dense?: DenseMethod | "none";
  conv?: ConvMethod | "none";
  layers?: readonly string[];
  /** How many training images `forInputs` looks at; default 500. */
  images?: number;
}

/** Who teaches. */
export type Teacher = "original" | PretrainedName;

/** §3.4: trains on what a teacher says; repairs what other techniques broke. */
export interface Distill extends Common, Training {
  technique: "distill";
  /** `original`, the model before the first step (the default), a network that ships with slimlab, or several of them. */
  teacher?: Teacher | readonly Teacher[];
  /** What a student's layer should carry of a teacher's; not where activations are quantized. */
  hints?: readonly Hint[];
  /** Default 4. */
  temperature?: number;
  /** Share of the soft targets, default 0.9. */
  mixing?: number;
}

/** Trains on the labels. */
export interface FineTune extends Common, Training {
  technique: "fineTune";
}

export type Step =
  | PruneWeights
  | PruneUnits
  | PruneIteratively
  | Quantize
  | QuantizeAutomatically
  | Cluster
  | Factorize
  | Distill
  | FineTune;
export type Technique = Step["technique"];

/** Techniques in the order in which they are applied. */
export type Recipe = readonly Step[];

type Check = (name: string, value: never, step: Record<string, unknown>) => void;

const whole = (min: number, max?: number): Check => {
  return (name, value) => checkInteger(name, value, min, max);
};
const number = (min: number, max?: number): Check => {
  return (name, value) => checkNumber(name, value, min, max);
};
const oneOf = (...allowed: readonly string[]): Check => {
  return (name, value) => checkOneOf<string>(name, value, allowed);
};
const flag: Check = (name, value) => {
  if (typeof value !== "boolean") throw new RangeError(`${name} must be true or false, got ${shown(value)}`);
};
const names: Check = (name, value) => {
  const list = value as unknown;
  if (!Array.isArray(list) || list.length === 0 || !list.every((entry) => typeof entry === "string"))
    throw new RangeError(`${name} must be a list of layer names, got ${shown(value)}`);
};
const perLayer = (check: Check): Check => {
  return (name, value, step) => {
    if (typeof value === "number") return check(name, value as never, step);
    const given = value as unknown;
    if (typeof given !== "object" || given === null || Array.isArray(given))
      throw new RangeError(
        `${name} must be a number, or a number for each layer by name, got ${shown(value)}`,
      );
    if (Object.keys(given).length === 0) throw new RangeError(`${name} must name at least one layer`);
    for (const [layer, one] of Object.entries(given)) check(`${name}.${layer}`, one as never, step);
  };
};

const training: Record<string, Check> = {
  epochs: whole(0),
  batchSize: whole(1),
  learningRate: number(0),
  decay: oneOf("none", "cosine"),
  optimizer: oneOf("adam", "momentum", "sgd"),
  shift: whole(0),
};
const share = number(0, 1);
const seed = whole(0, 2 ** 32 - 1);
const pruneUnits: Fields = {
  needed: ["rate"],
  fields: {
    rate: perLayer(share),
    strategy: oneOf("global", "layer"),
    score: oneOf(...unitScores),
    images: whole(1),
  },
};

const text: Check = (name, value) => {
  if (typeof value !== "string") throw new RangeError(`${name} must be a layer's name, got ${shown(value)}`);
};
const hintFields: Fields = {
  needed: ["teacherLayer", "studentLayer"],
  fields: { teacherLayer: text, studentLayer: text, teacher: whole(0), weight: number(0) },
};

interface Fields {
  /** Fields without which the step says nothing. */
  needed?: readonly string[];
  /** Exactly one of these. */
  one?: readonly string[];
  /** At least one of these. */
  some?: readonly string[];
  fields: Record<string, Check>;
}

const techniques: Record<Technique, Fields> = {
  pruneWeights: {
    one: ["sparsity", "threshold"],
    fields: {
      sparsity: perLayer(share),
      threshold: perLayer(number(0)),
      strategy: oneOf("global", "layer"),
      score: oneOf(...weightScores),
      layers: names,
      images: whole(1),
    },
  },
  pruneFilters: pruneUnits,
  pruneNeurons: pruneUnits,
  pruneIteratively: {
    some: ["target", "accuracyFloor"],
    fields: {
      target: perLayer(share),
      accuracyFloor: share,
      steps: whole(1),
      schedule: oneOf(...schedules),
      rate: number(Number.MIN_VALUE, 1 - Number.EPSILON),
      refine: whole(0),
      score: oneOf(...weightScores),
      layers: names,
      images: whole(1),
      training: (name, value) => checkFields(value, name, { needed: ["epochs"], fields: training }),
    },
  },
  quantize: {
    needed: ["bits"],
    fields: {
      bits: perLayer(whole(1, 16)),
      scheme: oneOf("symmetric", "affine"),
      perChannel: flag,
      range: oneOf("max", "percentile", "mse", "kl"),
      rounding: oneOf("nearest", "stochastic"),
      activations: whole(1, 16),
      layers: names,
    },
  },
  quantizeAutomatically: {
    one: ["bytes", "accuracy"],
    fields: {
      bytes: number(1),
      accuracy: share,
      bits: (name, value, step) => {
        const list = value as unknown;
        if (!Array.isArray(list) || list.length === 0)
          throw new RangeError(`${name} must be a list of widths, got ${shown(value)}`);
        for (const width of list) whole(1, 16)(name, width as never, step);
      },
      gptq: oneOf("try", "never"),
      equalization: oneOf("try", "never"),
      biasCorrection: oneOf("try", "never"),
      activations: whole(1, 16),
      images: whole(1),
    },
  },
  cluster: {
    needed: ["clusters"],
    fields: {
      clusters: perLayer(whole(1, 65535)),
      method: oneOf("optimal", "lloyd"),
      start: oneOf("linear", "density", "random", "kmeans++"),
      layers: names,
    },
  },
  factorize: {
    one: ["energy", "budget", "floor", "plan"],
    fields: {
      energy: share,
      budget: number(Number.MIN_VALUE),
      floor: share,
      plan: (name, value) => {
        if (typeof value !== "object" || value === null)
          throw new RangeError(`${name} must give factors for each layer by name, got ${shown(value)}`);
      },
      dense: oneOf(...denseMethods, "none"),
      conv: oneOf(...convMethods, "none"),
      layers: names,
      images: whole(1),
    },
  },
  distill: {
    needed: ["epochs"],
    fields: {
      ...training,
      teacher: (name, value, step) => {
        const given = value as unknown;
        const list = Array.isArray(given) ? given : [given];
        if (list.length === 0) throw new RangeError(`${name} must name at least one`);
        for (const one of list) oneOf("original", ...pretrainedNames)(name, one as never, step);
      },
      hints: (name, value) => {
        const list = value as unknown;
        if (!Array.isArray(list))
          throw new RangeError(`${name} must be a list of hints, got ${shown(value)}`);
        list.forEach((hint, i) => {
          checkFields(hint, `${name}[${i}]`, hintFields);
        });
      },
      temperature: number(Number.MIN_VALUE),
      mixing: share,
    },
  },
  fineTune: { needed: ["epochs"], fields: training },
};

/** The names of all techniques. */
export const techniqueNames = Object.keys(techniques) as Technique[];

/**
 * Checks that a recipe can be read: every step is of a known technique, has what it needs and nothing unknown.
 *
 * @throws RangeError that names the step, counted from 1, its technique and the field
 */
export function checkRecipe(recipe: Recipe): void {
  if (!Array.isArray(recipe))
    throw new RangeError(`a recipe must be a list of steps, got ${shown(recipe as unknown)}`);
  recipe.forEach((step: Step, i) => {
    if (typeof step !== "object" || step === null)
      throw new RangeError(`step ${i + 1} must be an object with a technique, got ${shown(step as unknown)}`);
    try {
      checkOneOf("technique", step.technique, techniqueNames);
    } catch (error) {
      throw new RangeError(`step ${i + 1}: ${(error as Error).message}`);
    }
    try {
      const { technique, ...fields } = step;
      checkFields(fields, "", techniques[technique]);
    } catch (error) {
      throw new RangeError(`${stepName(step, i + 1)}: ${(error as Error).message}`);
    }
  });
}

/** How messages name a step. */
export function stepName(step: Step, place: number): string {
  return `step ${place} (${step.technique})`;
}

function checkFields(given: object, prefix: string, { needed = [], one, some, fields }: Fields): void {
  if (typeof given !== "object" || given === null)
    throw new RangeError(`${prefix} must be an object, got ${shown(given)}`);
  const known: Record<string, Check> = prefix ? fields : { ...fields, seed };
  const field = (name: string) => (prefix ? `${prefix}.${name}` : name);
  const values = given as Record<string, unknown>;
  const has = (name: string) => values[name] !== undefined;
  for (const name of Object.keys(values)) {
    if (!Object.hasOwn(known, name))
      throw new RangeError(
        `there is no field ${shown(field(name))}; there are ${Object.keys(known).join(", ")}`,
      );
  }
  for (const name of needed) if (!has(name)) throw new RangeError(`${field(name)} is missing`);
  const given1 = one?.filter(has) ?? [];
  if (one && given1.length !== 1)
    throw new RangeError(
      `give exactly one of ${one.join(", ")}, got ${given1.length === 0 ? "none" : given1.join(" and ")}`,
    );
  if (some && !some.some(has)) throw new RangeError(`give ${some.join(", ")} or both, got none`);
  for (const [name, check] of Object.entries(known)) {
    if (has(name)) check(field(name), values[name] as never, values);
  }
}

/** JSON with sorted keys: equal for steps that say the same. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
