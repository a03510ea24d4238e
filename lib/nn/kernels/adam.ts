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

/** `tf.train.adam`, equal to it bit for bit, for a backend that has {@link adamStep}. */
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
        moments = { first: tf.keep(tf.zerosLike(value)), second: tf.keep(tf.zerosLike(value)) };
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

  override dispose(): void {
    super.dispose();
    for (const { first, second } of this.moments.values()) tf.dispose([first, second]);
    this.moments.clear();
  }

  getConfig() {
    return { learningRate: this.learningRate, beta1: this.beta1, beta2: this.beta2 };
  }
}
