// TensorFlow.js's WASM heap, as the kernels of this folder use it: tensors are slices of one memory that JavaScript and
// XNNPACK both see, so data never has to be copied across.

import { instantiateWasm } from "../../util/wasm.ts";
import type { tf } from "../tf.ts";
import heapCode from "./heap.wasm.js";

/** The part of TensorFlow.js's WASM backend that the kernels call. */
export interface Backend {
  wasm: {
    HEAPU8: Uint8Array;
    asm: { memory: WebAssembly.Memory };
    _malloc(bytes: number): number;
    _free(offset: number): void;
    cwrap(name: string, result: null, args: string[]): (...args: unknown[]) => void;
    tfjs: {
      registerTensor(id: number, size: number, offset: number): void;
      disposeData(id: number): void;
    };
  };
  makeOutput(shape: number[], dtype: tf.DataType): tf.TensorInfo;
  typedArrayFromHeap(info: tf.TensorInfo): Float32Array | Int32Array | Uint8Array;
  getMemoryOffset(dataId: object): number;
}

/** A kernel as TensorFlow.js calls it. */
export interface KernelCall<Attributes> {
  inputs: Record<string, tf.TensorInfo>;
  backend: Backend;
  attrs: Attributes;
}

/**
 * The numbers of a tensor, in place. Valid until the next allocation: the heap may grow, and its old buffer then has
 * length 0. So a kernel allocates everything first and looks at it afterwards.
 */
export function floats(backend: Backend, info: tf.TensorInfo): Float32Array {
  return backend.typedArrayFromHeap(info) as Float32Array;
}

/** Scratch memory of `size` floats for the time of `use`, which gets its byte offset. */
export function withScratch<T>(backend: Backend, size: number, use: (offset: number) => T): T {
  const offset = backend.wasm._malloc(size * 4);
  if (offset === 0) throw new Error(`the WASM heap has no room for ${size * 4} more bytes`);
  try {
    return use(offset);
  } finally {
    backend.wasm._free(offset);
  }
}

/** The heap at a byte offset, as floats; valid as long as {@link floats} is. */
export function floatsAt(backend: Backend, offset: number, size: number): Float32Array {
  return new Float32Array(backend.wasm.HEAPU8.buffer, offset, size);
}

// Ids for memory that is no tensor of TensorFlow.js; its own count up from 0.
let scratchId = 2 ** 30;

type BatchMatMul = (...args: unknown[]) => void;
const multipliers = new WeakMap<Backend, BatchMatMul>();

/**
 * out = a b by XNNPACK, for row-major matrices that lie anywhere on the heap: a is rows x inner, b is inner x columns.
 * It is some twenty times faster than what the backend does for transposed or batched operands.
 */
export function multiply(
  backend: Backend,
  [a, b, out]: [a: number, b: number, out: number],
  [rows, inner, columns]: [rows: number, inner: number, columns: number],
): void {
  let batchMatMul = multipliers.get(backend);
  if (!batchMatMul) {
    const n = "number";
    batchMatMul = backend.wasm.cwrap("BatchMatMul", null, [n, "array", n, n, "array", n, n, n, n]);
    multipliers.set(backend, batchMatMul);
  }
  const { registerTensor, disposeData } = backend.wasm.tfjs;
  const [aId, bId, outId] = [scratchId++, scratchId++, scratchId++];
  if (scratchId > 2 ** 31 - 4) scratchId = 2 ** 30;
  registerTensor(aId, rows * inner, a);
  registerTensor(bId, inner * columns, b);
  registerTensor(outId, rows * columns, out);
  batchMatMul(aId, shapeBytes(rows, inner), 3, bId, shapeBytes(inner, columns), 3, 0, 0, outId);
  // Forgets the ids, and with b's the operator that XNNPACK has packed it into; the memory stays the caller's.
  for (const id of [aId, bId, outId]) disposeData(id);
}

function shapeBytes(rows: number, columns: number): Uint8Array {
  return new Uint8Array(Int32Array.of(1, rows, columns).buffer);
}

/** The inner loops in heap.wat; offsets in bytes, counts in floats. */
interface Loops {
  add(target: number, source: number, count: number): void;
  transpose(source: number, target: number, rows: number, columns: number): void;
  adam(
    w: number,
    g: number,
    m: number,
    v: number,
    out: number,
    count: number,
    beta1: number,
    rest1: number,
    beta2: number,
    rest2: number,
    left1: number,
    left2: number,
    epsilon: number,
    rate: number,
  ): void;
  maxPoolGrad(
    x: number,
    dx: number,
    dy: number,
    height: number,
    width: number,
    across: number,
    down: number,
    channels: number,
  ): void;
}

const allLoops = new WeakMap<Backend, Loops>();

/** heap.wat on the memory of TensorFlow.js's WASM backend. */
export function loops(backend: Backend): Loops {
  let found = allLoops.get(backend);
  if (!found) {
    const { memory } = backend.wasm.asm;
    found = instantiateWasm(heapCode, { heap: { memory } }).exports as unknown as Loops;
    allLoops.set(backend, found);
  }
  return found;
}
