// BatchMatMul for transposed and batched operands. The WASM backend hands XNNPACK only plain products of two matrices
// and does all others, among them both gradients of every dense layer, with a loop about twenty times slower.

import { tf } from "../tf.ts";
import { type Backend, type KernelCall, loops, multiply, withScratch } from "./heap.ts";

type Original = (call: KernelCall<{ transposeA: boolean; transposeB: boolean }>) => tf.TensorInfo;

/** Wraps the backend's own kernel, which stays in charge of plain products and of small ones. */
export function batchMatMul(original: Original): Original {
  return (call) => {
    const { inputs, backend, attrs } = call;
    const { a, b } = inputs;
    const [aRows, aColumns] = a.shape.slice(-2);
    const [bRows, bColumns] = b.shape.slice(-2);
    const [rows, inner] = attrs.transposeA ? [aColumns, aRows] : [aRows, aColumns];
    const [bInner, columns] = attrs.transposeB ? [bColumns, bRows] : [bRows, bColumns];
    const aBatch = tf.util.sizeFromShape(a.shape.slice(0, -2));
    const bBatch = tf.util.sizeFromShape(b.shape.slice(0, -2));
    const plain = !attrs.transposeA && !attrs.transposeB && aBatch === 1 && bBatch === 1;
    // Below this, setting XNNPACK up costs more than it gains.
    const small = rows * inner * columns < 4096;
    const sameBatch = a.shape.slice(0, -2).join() === b.shape.slice(0, -2).join();
    if (plain || small || inner !== bInner || a.dtype !== "float32" || b.dtype !== "float32" || !sameBatch)
      return original(call);

    const out = backend.makeOutput([...a.shape.slice(0, -2), rows, columns], "float32");
    const aSize = rows * inner;
    const bSize = inner * columns;
    withScratch(backend, aSize + bSize, (scratch) => {
      for (let batch = 0; batch < aBatch; batch++) {
        const left = operand(backend, a, batch * aSize, attrs.transposeA && [inner, rows], scratch);
        const right = operand(
          backend,
          b,
          batch * bSize,
          attrs.transposeB && [columns, inner],
          scratch + aSize * 4,
        );
        const result = backend.getMemoryOffset(out.dataId) + batch * rows * columns * 4;
        multiply(backend, [left, right, result], [rows, inner, columns]);
      }
    });
    return out;
  };
}

/** Where one matrix of a batch lies: in its tensor, or turned over in `scratch` when `turn` gives its stored shape. */
function operand(
  backend: Backend,
  info: tf.TensorInfo,
  start: number,
  turn: false | [rows: number, columns: number],
  scratch: number,
): number {
  if (!turn) return backend.getMemoryOffset(info.dataId) + start * 4;
  const [rows, columns] = turn;
  loops(backend).transpose(backend.getMemoryOffset(info.dataId) + start * 4, scratch, rows, columns);
  return scratch;
}
