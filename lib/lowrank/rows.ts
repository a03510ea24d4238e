// Rows of doubles in WebAssembly memory, and the three loops that a decomposition spends its time in.
import { instantiateWasm } from "../util/wasm.ts";

interface Kernel {
  memory: WebAssembly.Memory;
  reflect(v: number, y: number, n: number, tau: number): void;
  add(y: number, factor: number, x: number, n: number): void;
  sweep(a: number, stride: number, columns: number, pairs: number, count: number): void;
}

let kernel: Kernel | undefined;

/**
 * Arrays of zeros in the loops' memory: what the loops below work on must lie there. All earlier ones become invalid, so
 * they are asked for at once, and results are copied out.
 *
 * @param lengths multiples of 8 begin at whole cache lines
 */
export function rowsOf(...lengths: number[]): Float64Array<ArrayBuffer>[] {
  const total = 8 * lengths.reduce((sum, length) => sum + length, 0);
  // After a large problem a small one should not hold on to all of its memory.
  if (kernel && kernel.memory.buffer.byteLength > 2 ** 26 && total < 2 ** 25) kernel = undefined;
  kernel ??= instantiateWasm("lowrank/rows.wasm").exports as unknown as Kernel;
  const missing = total - kernel.memory.buffer.byteLength;
  if (missing > 0) kernel.memory.grow(Math.ceil(missing / 65536));
  new Uint8Array(kernel.memory.buffer, 0, total).fill(0);
  let at = 0;
  return lengths.map((length) => {
    const array = new Float64Array(kernel!.memory.buffer as ArrayBuffer, at, length);
    at += 8 * length;
    return array;
  });
}

/** y := y - tau (v·y) v, for y as long as v. */
export function reflect(v: Float64Array, tau: number, y: Float64Array): void {
  kernel!.reflect(v.byteOffset, y.byteOffset, v.length, tau);
}

/** y := y + factor x, for y as long as x. */
export function addScaled(y: Float64Array, factor: number, x: Float64Array): void {
  kernel!.add(y.byteOffset, factor, x.byteOffset, x.length);
}

/**
 * Rotates rows 0 and 1, then 1 and 2, and so on: (x, y) := (c x + s y, c y - s x).
 *
 * @param a row-major; `stride` numbers a row, a multiple of 8, all of which take part
 * @param pairs c and s of each rotation, one after the other
 */
export function sweep(a: Float64Array, stride: number, pairs: Float64Array, count: number): void {
  kernel!.sweep(a.byteOffset, 8 * stride, stride, pairs.byteOffset, count);
}
