// §3.2.2 The 8-bit codes that activations of an integer network are held in.

import type { Codes8 } from "./packing.ts";
import { roundEven } from "./rounding.ts";

/** What 8-bit codes of activations stand for: scale·(code − zeroPoint), codes from low to high. */
export interface ActivationGrid {
  scale: number;
  zeroPoint: number;
  low: number;
  high: number;
  /**
   * The distance between values that change the code, where it is not the scale: code = round(value / step). Binary and
   * ternary codes with threshold t have step 2·t, since half a step is where 0 ends.
   */
  step?: number;
}

/** Values to codes of an activation grid. */
export function toCodes(values: Float32Array, grid: ActivationGrid): Codes8 {
  const { scale, zeroPoint, low, high, step = scale } = grid;
  const codes = codesFor(grid, values.length);
  for (let i = 0; i < values.length; i++) {
    codes[i] = Math.min(high, Math.max(low, roundEven(values[i] / step) + zeroPoint));
  }
  return codes;
}

/** Room for codes of a grid. */
export const codesFor = ({ low }: Pick<ActivationGrid, "low">, length: number): Codes8 =>
  low >= 0 ? new Uint8Array(length) : new Int8Array(length);
