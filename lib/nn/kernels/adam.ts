// Adam (Kingma and Ba, 2015) in one pass over the weights. TensorFlow.js takes fifteen operations for it, each with a
// tensor of its own: about a fifth of the time that a dense network trains.

import { tf } from "../tf.ts";
import { type KernelCall, loops } from "./heap.ts";

interface AdamAttributes {
  learningRate: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  /** beta1 and beta2 to the power of the step's number, counted from 1. */
  power1: number;
  power2: number;
}

/** The kernel's name: not one of TensorFlow.js's own. */
export const adamStepName = "AdamStep";

/** The new values of a variable. The moments are the optimizer's own, and change in place. */
export function adamStep({ inputs, backend, attrs }: KernelCall<AdamAttributes>): tf.TensorInfo {
  const { value, gradient, first, second } = inputs;
  const { learningRate, beta1, beta2, epsilon, power1, power2 } = attrs;
  const out = backend.makeOutput(value.shape, "float32");
  const [w, g, m, v, next] = [value, gradient, first, second, out].map(({ dataId }) =>
    backend.getMemoryOffset(dataId),
  );
  const count = tf.util.sizeFromShape(value.shape);
  const { adam } = loops(backend);
  adam(
    w,
    g,
    m,
    v,
    next,
    count,
    beta1,
    1 - beta1,
    beta2,
    1 - beta2,
    1 - power1,
    1 - power2,
    epsilon,
    -learningRate,
  );
  return out;
}

/** What {@link adamStepOnHost} needs of a backend that keeps new tensors as arrays until an operation reads them. */
interface HostBackend {
  readSync(dataId: object): Float32Array;
  write(values: Float32Array, shape: number[], dtype: "float32"): object;
}

/**
 * {@link adamStep} for the native backend, where fifteen operations on the weights of a dense layer take four times as long
 * as one loop here. The moments stay arrays: no operation reads them.
 */
export function adamStepOnHost({
  inputs,
  backend,
  attrs,
}: {
  inputs: Record<string, tf.TensorInfo>;
  backend: unknown;
  attrs: AdamAttributes;
}): tf.TensorInfo {
  const host = backend as HostBackend;
  const { value } = inputs;
  const [w, g, m, v] = [value, inputs.gradient, inputs.first, inputs.second].map(({ dataId }) =>
    host.readSync(dataId),
  );
  const { learningRate, beta1, beta2, epsilon, power1, power2 } = attrs;
  const [rest1, rest2] = [1 - beta1, 1 - beta2];
  const [left1, left2] = [1 - power1, 1 - power2];
  const next = new Float32Array(w.length);
  for (let i = 0; i < next.length; i++) {
    const gradient = g[i];
    // What a mask has pruned has neither gradient nor moments: most weights of a sparse network.
    if (gradient === 0 && m[i] === 0 && v[i] === 0) {
      next[i] = w[i];
      continue;
    }
    m[i] = beta1 * m[i] + rest1 * gradient;
    v[i] = beta2 * v[i] + rest2 * gradient * gradient;
    next[i] = w[i] - (learningRate * (m[i] / left1)) / (Math.sqrt(v[i] / left2) + epsilon);
  }
  return { dataId: host.write(next, value.shape, "float32"), shape: value.shape, dtype: "float32" };
}

/** `tf.train.adam`, for a backend that has {@link adamStepName}: on WASM equal to it bit for bit, on the native one but for rounding. */
export class FastAdam extends tf.Optimizer {
  private readonly beta1 = 0.9;
  private readonly beta2 = 0.999;
  // In single precision, as TensorFlow.js keeps them.
  private power1 = Math.fround(this.beta1);
  private power2 = Math.fround(this.beta2);
  private readonly moments = new Map<string, { first: tf.Tensor; second: tf.Tensor }>();
  learningRate: number;

  constructor(learningRate: number) {
    super();
    this.learningRate = learningRate;
  }

  applyGradients(gradients: tf.NamedTensorMap): void {
    const { learningRate, beta1, beta2, power1, power2 } = this;
    const attrs = { learningRate, beta1, beta2, power1, power2, epsilon: tf.backend().epsilon() };
    const engine = tf.engine();
    for (const [name, gradient] of Object.entries(gradients)) {
      const value = engine.registeredVariables[name];
      let moments = this.moments.get(name);
      if (!moments) {
        const zeros = () => tf.keep(tf.tensor(new Float32Array(value.size), value.shape));
        moments = { first: zeros(), second: zeros() };
        this.moments.set(name, moments);
      }
      const next: tf.Tensor = engine.runKernel(adamStepName, { value, gradient, ...moments }, attrs);
      value.assign(next);
      next.dispose();
    }
    this.power1 = Math.fround(power1 * Math.fround(beta1));
    this.power2 = Math.fround(power2 * Math.fround(beta2));
    this.incrementIterations();
  }

  /** The running means of squared gradients, by variable name. */
  get secondMoments(): Map<string, tf.Tensor> {
    return new Map([...this.moments].map(([name, { second }]) => [name, second]));
  }

  /**
   * Forgets the moments of pruned weights. They would otherwise drift on after their gradients have stopped, and die away
   * into numbers so small that processors take a hundred times as long for them.
   *
   * @param masks 1 = kept, by variable name
   */
  forget(masks: Map<string, ArrayLike<number>>): void {
    for (const [name, mask] of masks) {
      const moments = this.moments.get(name);
      if (!moments) continue;
      for (const which of ["first", "second"] as const) {
        const old = moments[which];
        const values = Float32Array.from(old.dataSync());
        for (let i = 0; i < values.length; i++) if (mask[i] === 0) values[i] = 0;
        moments[which] = tf.keep(tf.tensor(values, old.shape));
        old.dispose();
      }
    }
  }

  override dispose(): void {
    super.dispose();
    for (const { first, second } of this.moments.values()) tf.dispose([first, second]);
    this.moments.clear();
  }

  getConfig() {
    return { learningRate: this.learningRate, beta1: this.beta1, beta2: this.beta2 };
  }
}
