// Typed arrays from others, in plain loops: `Float32Array.from` with a function makes a list of boxed numbers first, which
// takes 25 bytes of heap a number and, above 2^27 of them, ends the process.

/** One 32-bit float for each number of `values`. */
export function mapFloats(
  values: ArrayLike<number>,
  of: (value: number, index: number) => number,
): Float32Array<ArrayBuffer> {
  const result = new Float32Array(values.length);
  for (let i = 0; i < result.length; i++) result[i] = of(values[i], i);
  return result;
}
