import { instantiateWasm, reserve } from "../util/wasm.ts";
import matmulCode from "./wasm-matmul.wasm.js";

interface Matmul {
  memory: WebAssembly.Memory;
  matmul(m: number, n: number, k: number, a: number, b: number, c: number): void;
}

const roundUp = (value: number, step: number) => Math.ceil(value / step) * step;

/**
 * A matrix kept in WebAssembly memory for a run of products. Rows are padded to a multiple of 8 floats and their
 * count to a multiple of 8, with zeros, so that every product fits the kernel's tiles as left or right factor.
 */
export interface Block {
  /** Address in bytes. */
  at: number;
  rows: number;
  cols: number;
  /** Floats from one row to the next. */
  stride: number;
}

/**
 * A bench of single-precision matrices in WebAssembly SIMD memory: put them there once, multiply often.
 * The memory goes when the workspace is collected.
 */
export class MatmulWorkspace {
  readonly #kernel = instantiateWasm(matmulCode).exports as unknown as Matmul;
  #top = 0;

  /** A zeroed rows x cols block. */
  allocate(rows: number, cols: number): Block {
    const stride = roundUp(cols, 8);
    const at = this.#top;
    this.#top += roundUp(rows, 8) * stride * 4;
    reserve(this.#kernel.memory, this.#top);
    return { at, rows, cols, stride };
  }

  /** The floats of a block, padding included. Valid until the next `allocate`, which may move the memory. */
  view({ at, rows, stride }: Block): Float32Array {
    return new Float32Array(this.#kernel.memory.buffer, at, roundUp(rows, 8) * stride);
  }

  /** Copies a row-major rows x cols matrix in. */
  put(a: ArrayLike<number>, rows: number, cols: number): Block {
    const block = this.allocate(rows, cols);
    const view = this.view(block);
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < cols; j++) view[i * block.stride + j] = a[i * cols + j];
    return block;
  }

  /** The transpose of a block, as a new block. */
  transpose(a: Block): Block {
    const t = this.allocate(a.cols, a.rows);
    const from = this.view(a);
    const to = this.view(t);
    for (let i0 = 0; i0 < a.rows; i0 += 32) {
      const i1 = Math.min(i0 + 32, a.rows);
      for (let j = 0; j < a.cols; j++)
        for (let i = i0; i < i1; i++) to[j * t.stride + i] = from[i * a.stride + j];
    }
    return t;
  }

  /** out := a b. The inner dimension may be padded: the padding of both is zero. */
  multiply(a: Block, b: Block, out: Block): void {
    this.#kernel.matmul(roundUp(a.rows, 4), b.stride, a.stride, a.at, b.at, out.at);
  }
}
