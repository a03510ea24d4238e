// What the structured-pruning tests share: the fixture by PyTorch and NumPy, and comparison within rounding.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../lib/util/files.ts";

export interface Structured {
  twoFour: { weights: number[]; mask: number[] };
  filters: Record<
    | "weights"
    | "gradients"
    | "activations"
    | "activationGradients"
    | "l1"
    | "l2"
    | "gradientNorm"
    | "meanActivation"
    | "taylorActivation"
    | "taylorWeight"
    | "geometricMedian",
    number[]
  > & { lnStructured: { norm: 1 | 2; amount: number; mask: number[] }[] };
  neurons: Record<"outputs" | "outputNorm" | "meanAbsolute" | "apoz", number[]> & {
    fits: Record<string, { scale: number; offset: number; error: number }>;
  };
}

export const structured: Structured = JSON.parse(
  readFileSync(join(packageRoot, "test/pruning/fixtures/structured.json"), "utf8"),
);

export const f32 = (...numbers: number[]) => Float32Array.from(numbers);
export const u8 = (...numbers: number[]) => Uint8Array.from(numbers);

/** Asserts equality within the rounding of a 32-bit number. */
export function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-6): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < actual.length; i++) {
    const within = tolerance * Math.max(1e-3, Math.abs(expected[i]));
    assert.ok(Math.abs(actual[i] - expected[i]) <= within, `${actual[i]} for ${expected[i]} at ${i}`);
  }
}
