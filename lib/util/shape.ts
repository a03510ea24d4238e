// Shapes of flat arrays.

/** How many elements a shape has: the product of its lengths; 1 for a scalar's empty shape. */
export function elements(shape: readonly number[]): number {
  let product = 1;
  for (const length of shape) product *= length;
  return product;
}
