// §3.1.1 Training a pruned network without multiplying by its zeros. A dense layer of which one weight in fifty is left is
// computed by the lines of its mask (compressed sparse rows), forwards and backwards; inputs that are 0, as most pixels of a
// digit are, are passed over too.

import { toCsr } from "../sparse/index.ts";
import { tf } from "./tf.ts";
import { type Kernel, kernelsOf } from "./weights.ts";

/** Above this share of kept weights the backend's own product is as fast. */
const sparseBelow = 0.2;

/** Where a mask has its kept weights, row by row. */
interface Lines {
  rows: number;
  cols: number;
  /** Row `i` has the entries `pointers[i]` to `pointers[i + 1]`. */
  pointers: Uint32Array;
  /** Column and place of each entry. */
  columns: Uint32Array;
  places: Uint32Array;
}

interface DenseLayer extends tf.layers.Layer {
  kernel: { read(): tf.Tensor };
  bias: { read(): tf.Tensor } | null;
  activation: { apply(x: tf.Tensor): tf.Tensor };
}

/** Dense layers of a model whose masks leave little, computed by what is left, while training goes on. */
export class SparseDense {
  readonly #kernels: Kernel[];
  readonly #undo = new Map<string, () => void>();
  readonly #first: Set<string>;

  constructor(model: tf.LayersModel) {
    this.#kernels = kernelsOf(model).filter(
      ({ layer, variable }) =>
        layer.getClassName() === "Dense" && (layer as DenseLayer).kernel === (variable as unknown),
    );
    this.#first = new Set(this.#kernels.filter(({ layer }) => readsImages(layer)).map(({ name }) => name));
  }

  /** Takes new masks, by kernel name; kernels without one, or with much left, are the backend's. */
  use(masks: Record<string, Uint8Array>): void {
    this.dispose();
    for (const { name, layer, shape } of this.#kernels) {
      const mask = masks[name];
      if (!mask) continue;
      const lines = linesOf(mask, shape);
      if (lines.columns.length > sparseBelow * mask.length) continue;
      this.#undo.set(name, replaceCall(layer as DenseLayer, lines, !this.#first.has(name)));
    }
  }

  /** Names of the variables whose gradients are 0 already where their masks are. */
  get variables(): Set<string> {
    const own = this.#kernels.filter(({ name }) => this.#undo.has(name));
    return new Set(own.map(({ variable }) => (variable.read() as tf.Variable).name));
  }

  /** Gives all layers back to the backend. */
  dispose(): void {
    for (const undo of this.#undo.values()) undo();
    this.#undo.clear();
  }
}

/** Whether nothing before a layer can be trained, so that nobody asks for its input's gradient. */
function readsImages(layer: tf.layers.Layer): boolean {
  for (let at = layer; ; ) {
    const before = at.inboundNodes.flatMap(({ inboundLayers }) => inboundLayers);
    if (before.length === 0) return at.getClassName() === "InputLayer";
    if (before.length > 1 || before[0].trainableWeights.length > 0) return false;
    [at] = before;
  }
}

function linesOf(mask: Uint8Array, [rows, cols]: readonly number[]): Lines {
  const { pointers, indices } = toCsr(Float32Array.from(mask), rows, cols);
  const columns = Uint32Array.from(indices);
  const places = columns.slice();
  for (let row = 0; row < rows; row++)
    for (let k = pointers[row]; k < pointers[row + 1]; k++) places[k] += row * cols;
  return { rows, cols, pointers, columns, places };
}

function replaceCall(layer: DenseLayer, lines: Lines, wantsInput: boolean): () => void {
  const { call } = layer;
  layer.call = (inputs, kwargs) => {
    const x = Array.isArray(inputs) ? inputs[0] : inputs;
    if (x.rank !== 2) return call.call(layer, inputs, kwargs);
    return tf.tidy(() => {
      const product = multiply(x as tf.Tensor2D, layer.kernel.read(), lines, wantsInput);
      const sum = layer.bias ? tf.add(product, layer.bias.read()) : product;
      return layer.activation ? layer.activation.apply(sum) : sum;
    });
  };
  return () => {
    // The class's own again, which an instance's property hides.
    delete (layer as Partial<DenseLayer>).call;
  };
}

/** x [batch, rows] times a kernel [rows, cols] that is 0 outside of `lines`, with gradients. */
function multiply(x: tf.Tensor2D, kernel: tf.Tensor, lines: Lines, wantsInput: boolean): tf.Tensor {
  const input = x.dataSync() as Float32Array;
  const batch = x.shape[0];
  const forward = (weights: tf.Tensor) => {
    const all = weights.dataSync();
    const { places } = lines;
    const kept = new Float32Array(places.length);
    for (let k = 0; k < kept.length; k++) kept[k] = all[places[k]];
    return { kept, value: tf.tensor2d(product(input, kept, batch, lines), [batch, lines.cols]) };
  };
  const kernelGradient = (slope: Float32Array, like: tf.Tensor) =>
    tf.tensor(weightGradient(input, slope, batch, lines), like.shape);
  if (!wantsInput)
    return tf.customGrad((weights) => {
      const { value } = forward(weights as tf.Tensor);
      return {
        value,
        gradFunc: (dy: tf.Tensor) => kernelGradient(dy.dataSync() as Float32Array, kernel),
      };
    })(kernel);
  return tf.customGrad((_x, weights) => {
    const { value, kept } = forward(weights as tf.Tensor);
    return {
      value,
      gradFunc: (dy: tf.Tensor) => {
        const slope = dy.dataSync() as Float32Array;
        return [
          tf.tensor2d(inputGradient(slope, kept, batch, lines), [batch, lines.rows]),
          kernelGradient(slope, kernel),
        ];
      },
    };
  })(x, kernel);
}

function product(x: Float32Array, kept: Float32Array, batch: number, lines: Lines): Float32Array {
  const { rows, cols, pointers, columns } = lines;
  const y = new Float32Array(batch * cols);
  for (let b = 0; b < batch; b++) {
    const to = b * cols;
    for (let row = 0, from = b * rows; row < rows; row++) {
      const value = x[from + row];
      if (value === 0) continue;
      for (let k = pointers[row]; k < pointers[row + 1]; k++) y[to + columns[k]] += value * kept[k];
    }
  }
  return y;
}

function weightGradient(x: Float32Array, dy: Float32Array, batch: number, lines: Lines): Float32Array {
  const { rows, cols, pointers, columns, places } = lines;
  const sums = new Float64Array(places.length);
  for (let b = 0; b < batch; b++) {
    const to = b * cols;
    for (let row = 0, from = b * rows; row < rows; row++) {
      const value = x[from + row];
      if (value === 0) continue;
      for (let k = pointers[row]; k < pointers[row + 1]; k++) sums[k] += value * dy[to + columns[k]];
    }
  }
  const gradient = new Float32Array(rows * cols);
  for (let k = 0; k < sums.length; k++) gradient[places[k]] = sums[k];
  return gradient;
}

function inputGradient(dy: Float32Array, kept: Float32Array, batch: number, lines: Lines): Float32Array {
  const { rows, cols, pointers, columns } = lines;
  const dx = new Float32Array(batch * rows);
  for (let b = 0; b < batch; b++) {
    const from = b * cols;
    for (let row = 0, to = b * rows; row < rows; row++) {
      let sum = 0;
      for (let k = pointers[row]; k < pointers[row + 1]; k++) sum += kept[k] * dy[from + columns[k]];
      dx[to + row] = sum;
    }
  }
  return dx;
}
