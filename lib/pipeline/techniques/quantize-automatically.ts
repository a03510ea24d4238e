// §3.2.1, item 3, in a recipe: bits and granularity for each layer as its measured sensitivity allows.

import { decidingSamples } from "../../datasets/split.ts";
import { type Attempt, attempts, autoQuantize } from "../../nn/index.ts";
import { listOf, number, oneOf, share, whole } from "../fields.ts";
import { project } from "../hold.ts";
import { type Common, someOf, type Technique } from "../technique.ts";

/** §3.2.1, item 3: bits and granularity for each layer as its measured sensitivity allows. */
export interface QuantizeAutomatically extends Common {
  technique: "quantizeAutomatically";
  /** What all kernels may take, packed; exactly one of `bytes` and `accuracyFloor`. */
  bytes?: number;
  /** The accuracy to keep. */
  accuracyFloor?: number;
  /** Widths to choose from; default 2, 3, 4, 5, 6 and 8. */
  bits?: readonly number[];
  /** GPTQ: `try` (default) keeps it where it helps. */
  gptq?: Attempt;
  equalization?: Attempt;
  biasCorrection?: Attempt;
  /** Bits of activations; by default they stay floats. */
  activations?: number;
  /** How many training images it looks at; default 500. */
  images?: number;
  /** Kernels of fewer weights stay floats, as TFLite leaves those below 1,024; default 0, for what they cost is measured. */
  keepFloatBelow?: number;
}

export const quantizeAutomatically: Technique<QuantizeAutomatically> = {
  name: "quantizeAutomatically",
  one: ["bytes", "accuracyFloor"],
  fields: {
    bytes: number(1),
    accuracyFloor: share,
    bits: listOf("widths", whole(1, 16)),
    gptq: oneOf(...attempts),
    equalization: oneOf(...attempts),
    biasCorrection: oneOf(...attempts),
    activations: whole(1, 16),
    images: whole(1),
    keepFloatBelow: whole(0),
  },
  async run(state, step, { data, progress, signal }) {
    const {
      bytes,
      accuracyFloor,
      bits,
      gptq,
      equalization,
      biasCorrection,
      activations,
      images,
      keepFloatBelow,
    } = step;
    const { masks } = state.compression;
    const { rows, quantized, log, kept, scales, ...result } = await autoQuantize(
      state.model,
      someOf(data.train, images),
      bytes === undefined ? { accuracyFloor: accuracyFloor! } : { bytes },
      {
        bits,
        gptq,
        equalization,
        biasCorrection,
        ...(keepFloatBelow === undefined ? {} : { keepFloat: { below: keepFloatBelow } }),
        validation: decidingSamples(data),
        onProgress: progress,
        signal,
        ...(activations === undefined ? {} : { activations: { bits: activations } }),
      },
    );
    state.compression.quantized = quantized;
    state.compression.clustered = {};
    if (result.activations) state.activations = result.activations;
    // Rounding by GPTQ spreads errors over a column, pruned weights included: those go back to 0.
    project(state);
    const pruned = Object.keys(masks).length > 0 ? "; pruned weights are 0 again" : "";
    return {
      note: `${rows.map((row) => `${row.layer} ${row.bits} bits`).join(", ")}${kept.length > 0 ? `; floats: ${kept.join(", ")}` : ""}${pruned}`,
      details: { rows, log, scales },
    };
  },
};
