// §3.2.1, item 1, and §3.2.2 in a recipe: weights in fixed point, and what flows between layers.

import { calibrateActivations, shapesOf, weightsOf } from "../../nn/index.ts";
import type { PerLayer } from "../../pruning/index.ts";
import {
  floatBelow,
  quantize as quantizeArray,
  type RangeMethod,
  type Rounding,
  rangeMethods,
  roundings,
  type ScaleType,
  type Scheme,
  scaleTypes,
  schemes,
} from "../../quantization/index.ts";
import { type HalfFormat, halfFormats } from "../../util/half.ts";
import { elements } from "../../util/shape.ts";
import { flag, layerNames, oneOf, perLayer, whole } from "../fields.ts";
import { project } from "../hold.ts";
import { amountFor, axesOf, type Common, layersOf, namedIn, someOf, type Technique } from "../technique.ts";

/** §3.2.1, item 1: weights in fixed point, and with `activations` (§3.2.2) what flows between layers too. */
export interface Quantize extends Common {
  technique: "quantize";
  /** 1 to 16: one for all, or one for each layer by name. Exactly one of `bits` and `format`. */
  bits?: PerLayer;
  /** Floats of 16 bits instead of fixed point: no scale, and next to no loss. */
  format?: HalfFormat;
  /** Default `symmetric`. */
  scheme?: Scheme;
  /** One scale an output, default true. */
  perChannel?: boolean;
  /** Group-wise: one scale for each so many weights of an output, usually 32, 64 or 128; by default one for all of them. */
  group?: number;
  /** Scales in `float32` (default) or `float16`. */
  scaleType?: ScaleType;
  /** Default `max`. */
  range?: RangeMethod;
  /** Default `nearest`. */
  rounding?: Rounding;
  /** Bits of the input and of every layer's outputs but the last; by default they stay floats. */
  activations?: number;
  /** How many training images activations are calibrated on; default 500. */
  images?: number;
  layers?: readonly string[];
  /**
   * Kernels of fewer weights stay floats: they cost little, and often much accuracy. By default 1,024, as TFLite does, where
   * `bits` is 8 for all layers and activations stay floats; else 0.
   */
  keepFloatBelow?: number;
}

export const quantize: Technique<Quantize> = {
  name: "quantize",
  one: ["bits", "format"],
  fields: {
    bits: perLayer(whole(1, 16)),
    format: oneOf(...halfFormats),
    scheme: oneOf(...schemes),
    perChannel: flag,
    group: whole(1),
    scaleType: oneOf(...scaleTypes),
    range: oneOf(...rangeMethods),
    rounding: oneOf(...roundings),
    activations: whole(1, 16),
    images: whole(1),
    layers: layerNames,
    keepFloatBelow: whole(0),
  },
  async run(state, step, context) {
    const {
      bits,
      format,
      scheme,
      perChannel = true,
      range,
      rounding,
      group,
      scaleType,
      activations,
      images,
    } = step;
    const { masks, quantized, clustered } = state.compression;
    const shapes = shapesOf(state.model);
    const asked = layersOf(state.model, step.layers ?? namedIn(bits));
    const alike = step.layers === undefined && typeof bits === "number" && activations === undefined;
    const below = step.keepFloatBelow ?? (alike ? floatBelow(bits) : 0);
    const layers = asked.filter((name) => elements(shapes[name]) >= below);
    const kept = asked.length - layers.length;
    const axes = axesOf(state.model);
    const weights = weightsOf(state.model);
    if (format !== undefined) {
      const given = (["scheme", "perChannel", "group", "scaleType", "range", "rounding"] as const).filter(
        (field) => step[field] !== undefined,
      );
      if (given.length > 0)
        throw new RangeError(`${given.join(", ")} must be left out with format: floats have no grid`);
      for (const name of layers) {
        delete quantized[name];
        delete clustered[name];
      }
      const formats = Object.fromEntries(layers.map((name) => [name, format]));
      state.compression.formats = { ...state.compression.formats, ...formats };
    }
    for (const name of layers) {
      if (bits === undefined) break;
      const width = amountFor("bits", bits, name);
      if (width === 1 && (scheme ?? "symmetric") === "symmetric" && masks[name]?.includes(0))
        throw new RangeError(
          `bits must be at least 2 for ${name}, which is pruned: one bit has the levels -1 and +1, and no 0`,
        );
      quantized[name] = quantizeArray(weights[name], {
        bits: width,
        scheme,
        range,
        rounding,
        seed: context.seed,
        shape: shapes[name],
        group,
        scaleType,
        ...(perChannel ? axes[name] : {}),
      });
      delete clustered[name];
    }
    project(state);
    if (activations !== undefined) {
      state.activations = await calibrateActivations(state.model, someOf(context.data.train, images), {
        bits: activations,
      });
    }
    return {
      note: `${layers.length} layers${format ? ` in ${format}` : ""}${kept > 0 ? `, ${kept} stayed floats` : ""}${activations ? `, activations in ${activations} bits` : ""}`,
    };
  },
};
