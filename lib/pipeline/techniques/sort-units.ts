// §4.3 in a recipe: units by their number of inputs. The network computes the same but for the order in which it adds; its
// file is a few hundredths smaller.

import { biasesOf, setBiases, setWeights, unitOrders, weightsOf } from "../../nn/index.ts";
import { type Common, mapFields, type Technique } from "../technique.ts";

/** §4.3: puts each layer's units in the order of their number of inputs, most first. */
export interface SortUnits extends Common {
  technique: "sortUnits";
}

export const sortUnits: Technique<SortUnits> = {
  name: "sortUnits",
  fields: {},
  async run({ model, compression, activations }) {
    if (activations) throw new RangeError("units must be sorted before activations are quantized");
    const { kernels, biases, skipped } = unitOrders(model);
    for (const [name, { axis }] of Object.entries(compression.quantized))
      if (axis !== undefined && kernels[name])
        throw new RangeError(`${name} must have one scale for all units to be sorted: perChannel false`);
    const sorted = <T extends NumberArray>(values: T, places: Uint32Array | undefined): T =>
      places ? (values.map((_, i) => values[places[i]]) as T) : values;
    setWeights(
      model,
      mapFields(kernels, (places, name) => sorted(weightsOf(model)[name], places)),
    );
    setBiases(
      model,
      mapFields(biases, (places, name) => sorted(biasesOf(model)[name], places)),
    );
    compression.masks = mapFields(compression.masks, (mask, name) => sorted(mask, kernels[name]));
    compression.quantized = mapFields(compression.quantized, (one, name) => ({
      ...one,
      codes: sorted(one.codes, kernels[name]),
    }));
    compression.clustered = mapFields(compression.clustered, (one, name) => ({
      ...one,
      codes: sorted(one.codes, kernels[name]),
    }));
    if (compression.biases)
      compression.biases = mapFields(compression.biases, (one, name) => ({
        ...one,
        codes: sorted(one.codes, biases[name]),
      }));
    const left = Object.entries(skipped).map(([group, why]) => `${group}: ${why}`);
    return { note: [`sorted: ${Object.keys(biases).join(", ") || "none"}`, ...left].join("; ") };
  },
};

/** Typed arrays that weights, masks and codes are. */
type NumberArray = Float32Array | Int8Array | Int16Array | Uint8Array | Uint16Array;
