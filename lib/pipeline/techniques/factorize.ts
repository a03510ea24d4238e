// §3.3 in a recipe: low-rank factors in place of layers. Factors of a sparse matrix are dense, so masks of replaced layers
// end here; what was quantized or clustered stays so.

import { decidingSamples } from "../../datasets/split.ts";
import {
  type Compression,
  type ConvMethod,
  convMethods,
  type DenseMethod,
  denseMethods,
  type FactorizedLayer,
  factorizeModel,
  type LayerFactors,
  shapesOf,
  type tf,
  weightsOf,
} from "../../nn/index.ts";
import { clusterWeights, type Quantized, quantize } from "../../quantization/index.ts";
import { byLayer, checkFields, layerNames, number, oneOf, share, whole } from "../fields.ts";
import { project } from "../hold.ts";
import { axesOf, type Common, copied, layersOf, type Technique } from "../technique.ts";

/** §3.3: low-rank factors in place of layers. */
export interface Factorize extends Common {
  technique: "factorize";
  energy?: number;
  /** Parameters that stay: a share up to 1, a number above. */
  budget?: number;
  /** The accuracy to keep. */
  accuracyFloor?: number;
  plan?: Record<string, LayerFactors>;
  dense?: DenseMethod | "none";
  conv?: ConvMethod | "none";
  layers?: readonly string[];
  /** How many training images `forInputs` looks at; default 500. */
  images?: number;
}

export const factorize: Technique<Factorize> = {
  name: "factorize",
  one: ["energy", "budget", "accuracyFloor", "plan"],
  fields: {
    energy: share,
    budget: number(Number.MIN_VALUE),
    accuracyFloor: share,
    plan: byLayer("factors for each layer by name", (name, value: unknown) => {
      const isTucker = Object(value).method === "tucker2";
      const ranks = isTucker ? ["rankIn", "rankOut"] : ["rank"];
      checkFields(value as object, name, {
        needed: ["method", ...ranks],
        fields: {
          method: oneOf(...denseMethods, ...convMethods),
          ...Object.fromEntries(ranks.map((rank) => [rank, whole(1)])),
        },
      });
    }),
    dense: oneOf(...denseMethods, "none"),
    conv: oneOf(...convMethods, "none"),
    layers: layerNames,
    images: whole(1),
  },
  async run(state, step, { data, seed, progress, signal }) {
    const { technique: _, layers, seed: _seed, ...options } = step;
    const { model, compression } = state;
    const { model: smaller, rows } = await factorizeModel(model, {
      ...options,
      ...(layers ? { layers: layersOf(model, layers) } : {}),
      data: data.train,
      test: decidingSamples(data),
      seed,
      onProgress: progress,
      signal,
    });
    const replaced = rows.filter(({ method }) => method !== "kept");
    const lost = replaced.filter(({ layer }) => compression.masks[layer]).map(({ layer }) => layer);
    passOn(compression, replaced, smaller);
    model.dispose();
    state.model = smaller;
    project(state);
    const note = replaced.map(
      ({ layer, method, ranks }) => `${layer} by ${method}, rank ${ranks.join(" and ")}`,
    );
    return {
      note: `${note.join("; ") || "no layer would get smaller"}${lost.length > 0 ? `; factors are dense, so the masks of ${lost.join(", ")} end here` : ""}`,
      details: rows,
    };
  },
};

/** Lets factors take over the bits of the layer that they replace, or its number of clusters. */
function passOn(compression: Compression, replaced: FactorizedLayer[], smaller: tf.LayersModel): void {
  const held = copied(compression);
  for (const { layer } of replaced) {
    delete compression.masks[layer];
    delete compression.quantized[layer];
    delete compression.clustered[layer];
    delete compression.formats?.[layer];
  }
  const weights = weightsOf(smaller);
  const shapes = shapesOf(smaller);
  const axes = axesOf(smaller);
  for (const { layer, parts } of replaced) {
    // A part that only pads has no weights.
    for (const part of parts.filter((name) => weights[name])) {
      if (held.quantized[layer]) {
        compression.quantized[part] = quantizeLike(
          held.quantized[layer],
          weights[part],
          shapes[part],
          axes[part],
        );
      }
      const format = held.formats?.[layer];
      if (format) compression.formats = { ...compression.formats, [part]: format };
      if (held.clustered[layer]) {
        const clusters = held.clustered[layer].codebook.length;
        compression.clustered[part] = clusterWeights(weights[part], { clusters });
      }
    }
  }
}

function quantizeLike(
  { bits, scheme, signed, axis: before, group, scaleType }: Quantized,
  values: Float32Array,
  shape: number[],
  outputs: { axis: number; span?: number },
): Quantized {
  return quantize(values, {
    bits,
    scheme,
    signed,
    shape,
    group,
    scaleType,
    ...(before === undefined ? {} : outputs),
  });
}
