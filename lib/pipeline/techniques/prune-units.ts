// §3.1.2 and §3.1.3 in a recipe: filters or neurons removed, and what depends on them; what earlier steps kept of the
// weights (masks, codes, scales) goes through the surgery with them.

import {
  biasesOf,
  cloneModel,
  filterScoresOf,
  neuronScoresOf,
  pruneGroups,
  setWeights,
  shapesOf,
  type UnitScore,
  unitScores,
  weightsOf,
} from "../../nn/index.ts";
import {
  keepAtLeast,
  type Masks,
  type PerLayer,
  type SparsityStrategy,
  type Strategy,
  select,
} from "../../pruning/index.ts";
import { eachRun, layoutOf, type Quantized, quantizeOn } from "../../quantization/index.ts";
import { checkOneOf } from "../../util/check.ts";
import { oneOf, perLayer, share, whole } from "../fields.ts";
import type { State } from "../hold.ts";
import { type Common, mapFields, someOf, strategyOfSparsity, type Technique } from "../technique.ts";

/** §3.1.2 and §3.1.3: removes filters or neurons, and what depends on them. */
export interface PruneUnits<Name extends "pruneFilters" | "pruneNeurons" = "pruneFilters" | "pruneNeurons">
  extends Common {
  technique: Name;
  /** The share to remove: of each layer, or by name; with strategy `globalSparsity` of all together. */
  sparsity: PerLayer;
  /** Default `layerSparsity`. */
  strategy?: SparsityStrategy;
  /** Default `l1` for filters, `meanActivation` for neurons. */
  score?: UnitScore;
  /** How many training images scores are computed from; default 500. */
  images?: number;
}

export const pruneFilters = unitTechnique("pruneFilters", "filters", filterScoresOf);
export const pruneNeurons = unitTechnique("pruneNeurons", "neurons", neuronScoresOf);

function unitTechnique<Name extends "pruneFilters" | "pruneNeurons">(
  name: Name,
  units: string,
  unitScoresOf: typeof filterScoresOf,
): Technique<PruneUnits<Name>> {
  return {
    name,
    needed: ["sparsity"],
    fields: {
      sparsity: perLayer(share),
      strategy: strategyOfSparsity,
      score: oneOf(...unitScores),
      images: whole(1),
    },
    async run(state, step, { data, signal }) {
      const { sparsity, strategy = "layerSparsity", images } = step;
      const all = await unitScoresOf(state.model, someOf(data.train, images), step.score, { signal });
      const groups = Object.keys(all);
      if (groups.length === 0) throw new RangeError(`${state.model.name} has no ${units} to remove`);
      if (typeof sparsity === "object")
        for (const layer of Object.keys(sparsity)) checkOneOf("sparsity's layer", layer, groups);
      const scores = typeof sparsity === "object" ? mapFields(sparsity, (_, layer) => all[layer]) : all;
      // A layer without a single unit would cut the network in two.
      const keep = keepAtLeast(select(scores, { strategy, sparsity } as Strategy), scores, 1);
      const left = Object.entries(keep).map(
        ([layer, mask]) => `${layer} ${mask.reduce((n, m) => n + m, 0)} of ${mask.length}`,
      );
      operate(state, keep);
      return { note: `left: ${left.join(", ")}` };
    },
  };
}

/** Removes units, and what belongs to them in masks, codes and scales. */
function operate(state: State, keep: Masks): void {
  const { model, compression } = state;
  // Surgery knows weights only, so whatever else there is one of for each weight goes through it in their place.
  const through = (arrays: Record<string, ArrayLike<number>>): Record<string, Float32Array> => {
    const copy = cloneModel(model);
    setWeights(copy, arrays);
    const smaller = pruneGroups(copy, keep);
    const result = weightsOf(smaller);
    copy.dispose();
    smaller.dispose();
    return Object.fromEntries(Object.keys(arrays).map((name) => [name, result[name]]));
  };
  const smaller = pruneGroups(model, keep);
  const shapes = shapesOf(smaller);
  const { masks, quantized, clustered } = compression;
  const newMasks = through(masks);
  const codes = through(mapFields(quantized, ({ codes }) => codes));
  const scales = through(mapFields(quantized, (grid) => byWeight(grid, grid.scale)));
  const zeros = through(mapFields(quantized, (grid) => byWeight(grid, grid.zeroPoint)));
  const clusterCodes = through(mapFields(clustered, ({ codes }) => codes));
  compression.masks = mapFields(newMasks, (mask) => Uint8Array.from(mask));
  compression.quantized = Object.fromEntries(
    Object.entries(quantized).map(([name, grid]) => {
      const shape = shapes[name];
      const [scale, zeroPoint] = [scales[name], zeros[name]].map((values) => byChannel(values, shape, grid));
      const typed = new (grid.codes.constructor as Int8ArrayConstructor)(codes[name]) as Quantized["codes"];
      return [name, { ...grid, shape, codes: typed, scale, zeroPoint: Int32Array.from(zeroPoint) }];
    }),
  );
  compression.clustered = Object.fromEntries(
    Object.entries(clustered).map(([name, { codes, codebook }]) => [
      name,
      { codes: new (codes.constructor as Uint16ArrayConstructor)(clusterCodes[name]), codebook },
    ]),
  );
  if (compression.biases) {
    const left = biasesOf(smaller);
    compression.biases = mapFields(compression.biases, (grid, name) =>
      quantizeOn({ ...grid, shape: [left[name].length] }, left[name]),
    );
  }
  model.dispose();
  state.model = smaller;
}

function byWeight(grid: Quantized, values: ArrayLike<number>): Float32Array {
  if (grid.group !== undefined)
    throw new RangeError(
      `kernels must not be quantized in groups of ${grid.group}, which would not be whole any more: prune before quantizing`,
    );
  const spread = new Float32Array(grid.codes.length);
  eachRun(grid, (place, from, end) => spread.fill(values[place], from, end));
  return spread;
}

function byChannel(values: Float32Array, shape: number[], { axis, span }: Quantized): Float32Array {
  if (axis === undefined) return values.slice(0, 1);
  const { channels, inner } = layoutOf({ shape, axis, span });
  return Float32Array.from({ length: channels }, (_, c) => values[c * inner]);
}
