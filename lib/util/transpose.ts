// Matrices on their side.

/** Arrays of numbers that stay what they are. */
type Numbers = Float32Array | Int8Array | Uint8Array | Int16Array | Uint16Array;

/** The transpose of a row-major rows x cols matrix, in an array of its kind. */
export function transposed<T extends Numbers>(values: T, rows: number, cols: number): T {
  const out = values.slice() as T;
  // In blocks, so that both sides stay in the cache.
  for (let from = 0; from < rows; from += 32)
    for (let c = 0; c < cols; c++)
      for (let r = from; r < Math.min(from + 32, rows); r++) out[c * rows + r] = values[r * cols + c];
  return out;
}
