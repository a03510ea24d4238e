// §3.2.1 on models: step sizes that are trained with the weights, under a mask (LSQ). The arithmetic is
// lib/quantization's; here it is put where kernels are read.

import {
  bestStep,
  type Quantized,
  quantizeToSteps,
  roundToSteps,
  stepGradientScale,
} from "../quantization/index.ts";
import { checkInteger, checkOneOf } from "../util/check.ts";
import { tf } from "./tf.ts";
import { type Kernel, kernelsOf, replaceKernel, weightsOf } from "./weights.ts";

/** Kernels that are seen on levels ±1 … ±most times a step, while they and their steps are trained. */
export class LearnedSteps {
  readonly #kernels: Kernel[];
  readonly #most: number;
  readonly #masks: Record<string, Uint8Array>;
  readonly #steps: tf.Variable[];
  readonly #model: tf.LayersModel;

  /**
   * @param most the greatest level, 1 to 127
   * @param names of kernels; by default all
   * @param masks 1 = kept; pruned weights stay 0 and take no level
   */
  constructor(
    model: tf.LayersModel,
    most: number,
    { names, masks = {} }: { names?: readonly string[]; masks?: Record<string, Uint8Array> } = {},
  ) {
    checkInteger("most", most, 1, 127);
    const all = kernelsOf(model);
    for (const name of names ?? [])
      checkOneOf(
        "kernel",
        name,
        all.map((kernel) => kernel.name),
      );
    this.#model = model;
    this.#kernels = all.filter(({ name }) => !names || names.includes(name));
    this.#most = most;
    this.#masks = masks;
    const weights = weightsOf(model);
    this.#steps = this.#kernels.map(({ name }) =>
      tf.tidy(() => tf.variable(tf.scalar(bestStep(weights[name], most, masks[name])))),
    );
  }

  /** The steps, to be trained along: `variables` of `train`. */
  get variables(): tf.Variable[] {
    return this.#steps;
  }

  /** Runs `work` with every kernel seen on its levels. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const undo = this.#kernels.map((kernel, i) =>
      replaceKernel(kernel, (value) => this.#rounded(value, this.#steps[i], this.#masks[kernel.name])),
    );
    try {
      return await work();
    } finally {
      for (const step of undo) step();
    }
  }

  /** The kernels as codes of a grid, by name. */
  quantized(): Record<string, Quantized> {
    const weights = weightsOf(this.#model);
    return Object.fromEntries(
      this.#kernels.map(({ name, shape }, i) => [
        name,
        quantizeToSteps(weights[name], this.#stepOf(this.#steps[i]), this.#most, shape, this.#masks[name]),
      ]),
    );
  }

  dispose(): void {
    tf.dispose(this.#steps);
  }

  /** A step that training has pushed to 0 or below would turn levels round. */
  #stepOf(step: tf.Tensor): number {
    return Math.max(1e-6, step.dataSync()[0]);
  }

  /** Forwards the levels; backwards the gradient through to kept weights, and the steps' own. */
  #rounded(kernel: tf.Tensor, step: tf.Variable, mask: Uint8Array | undefined): tf.Tensor {
    return tf.customGrad((...inputs) => {
      const [value, size] = inputs as tf.Tensor[];
      const save = inputs[2] as tf.GradSaveFunc;
      const weights = value.dataSync() as Float32Array;
      const { values, passes, slopes } = roundToSteps(weights, this.#stepOf(size), this.#most, mask);
      const kept = mask ? mask.reduce((n, m) => n + m, 0) : weights.length;
      const factor = stepGradientScale(kept, this.#most);
      save([tf.tensor(passes, value.shape), tf.tensor(slopes, value.shape)]);
      return {
        value: tf.tensor(values, value.shape),
        gradFunc: (dy: tf.Tensor, [through, slope]: tf.Tensor[]) => [
          tf.mul(dy, through),
          tf.mul(tf.sum(tf.mul(dy, slope)), factor),
        ],
      };
    })(kernel, step);
  }
}
