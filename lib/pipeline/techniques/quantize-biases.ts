// §3.2.1 in a recipe: biases in a few bits. They are few, but where most weights are gone they are a third of the file.

import { biasesOf } from "../../nn/index.ts";
import { quantize, type RangeMethod, rangeMethods } from "../../quantization/index.ts";
import { checkOneOf } from "../../util/check.ts";
import { layerNames, oneOf, whole } from "../fields.ts";
import { projectBiases } from "../hold.ts";
import type { Common, Technique } from "../technique.ts";

/** §3.2.1: one symmetric grid for each layer's biases. */
export interface QuantizeBiases extends Common {
  technique: "quantizeBiases";
  /** 2 to 16; default 5. */
  bits?: number;
  /** Default `mse`. */
  range?: RangeMethod;
  /** By default all layers with a bias. */
  layers?: readonly string[];
}

export const quantizeBiases: Technique<QuantizeBiases> = {
  name: "quantizeBiases",
  fields: { bits: whole(2, 16), range: oneOf(...rangeMethods), layers: layerNames },
  async run(state, { bits = 5, range = "mse", layers }) {
    const biases = biasesOf(state.model);
    for (const name of layers ?? []) checkOneOf("layer with a bias", name, Object.keys(biases));
    const names = Object.keys(biases).filter((name) => !layers || layers.includes(name));
    state.compression.biases = {
      ...state.compression.biases,
      ...Object.fromEntries(
        names.map((name) => [name, quantize(biases[name], { bits, range, shape: [biases[name].length] })]),
      ),
    };
    projectBiases(state);
    return { note: `${names.length} layers' biases in ${bits} bits` };
  },
};
