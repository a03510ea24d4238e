// §3.1.1 step 2, application: what a mask does to weights, and how much of a layer it takes.

import { checkFinite, checkLength, shown } from "../util/check.ts";

/** Masks by layer, one number a score: 1 = kept, 0 = pruned. */
export type Masks = Record<string, Uint8Array>;

/**
 * Sets pruned weights to 0.
 *
 * @param weights any shape, flat; not changed unless it is `out` too
 * @param mask as many elements as weights
 * @param out where the result goes; a new array if absent
 * @throws RangeError if the lengths differ, or a weight is NaN or infinite
 * @see §3.1.1
 */
export function applyMask(
  weights: Float32Array,
  mask: Uint8Array,
  out: Float32Array = new Float32Array(weights.length),
): Float32Array {
  checkLength("mask", mask, weights.length);
  checkLength("out", out, weights.length);
  checkFinite("weights", weights);
  for (let i = 0; i < out.length; i++) out[i] = mask[i] === 0 ? 0 : weights[i];
  return out;
}

/**
 * {@link applyMask} for each layer that has a mask; the others come back as they are.
 *
 * @throws RangeError if a mask belongs to no layer or has another length than its weights
 */
export function applyMasks(
  weights: Record<string, Float32Array>,
  masks: Masks,
): Record<string, Float32Array> {
  for (const layer of Object.keys(masks)) {
    if (!Object.hasOwn(weights, layer)) {
      throw new RangeError(
        `masks name a layer ${shown(layer)} that is not there; there are ${Object.keys(weights).join(", ")}`,
      );
    }
    checkLength(`masks.${layer}`, masks[layer], weights[layer].length);
  }
  return Object.fromEntries(
    Object.entries(weights).map(([layer, w]) => [
      layer,
      Object.hasOwn(masks, layer) ? applyMask(w, masks[layer]) : w,
    ]),
  );
}

/**
 * Joins two sets of masks: kept is what both keep, so a pruned weight never comes back. A layer that only one
 * of them names keeps its mask.
 *
 * @throws RangeError if two masks of a layer differ in length
 */
export function combineMasks(first: Masks, second: Masks): Masks {
  const masks: Masks = { ...first, ...second };
  for (const layer of Object.keys(first)) {
    if (!Object.hasOwn(second, layer)) continue;
    checkLength(`mask of ${layer}`, second[layer], first[layer].length);
    masks[layer] = first[layer].map((kept, i) => kept & second[layer][i]);
  }
  return masks;
}

/**
 * The share of zeros among the elements: of one array of weights or mask, or of all in a record.
 *
 * @returns from 0 to 1; 0 for nothing at all
 * @see §3.1.1
 */
export function sparsityOf(values: ArrayLike<number> | Record<string, ArrayLike<number>>): number {
  const isOne = ArrayBuffer.isView(values) || Array.isArray(values);
  const arrays = isOne ? [values as ArrayLike<number>] : Object.values(values as object);
  let zeros = 0;
  let total = 0;
  for (const array of arrays) {
    total += array.length;
    for (let i = 0; i < array.length; i++) if (array[i] === 0) zeros++;
  }
  return total === 0 ? 0 : zeros / total;
}

/** {@link sparsityOf} each layer, by name. */
export function sparsityByLayer(values: Record<string, ArrayLike<number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).map(([layer, array]) => [layer, sparsityOf(array)]));
}
