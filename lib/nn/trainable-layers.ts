// Layers of TensorFlow.js that run and cannot be trained: gradients that are missing there, or wrong. Here they are put as
// operations whose gradients exist, where gradients are asked for; what inference computes rightly stays the backend's own.

import * as tf from "#tfjs";

type Pair = [number, number];
type Settings = object;
// biome-ignore lint/suspicious/noExplicitAny: layers' fields are not part of TensorFlow.js's types
type Fields = any;

/** Whether what runs now will be gone through backwards. */
const isRecorded = (): boolean => tf.engine().state.gradientDepth > 0;

const classOf = (name: string) =>
  tf.serialization.SerializationMap.getMap().classNameMap[name][0].prototype as unknown as Fields;

/** A kernel with zeros between its neighbours along an axis: with it a convolution without dilation is one with it. */
function spread(kernel: tf.Tensor, axis: number, rate: number): tf.Tensor {
  if (rate === 1) return kernel;
  const { shape } = kernel;
  const [before, after] = [shape.slice(0, axis), shape.slice(axis + 1)];
  const [outer, size, inner] = [tf.util.sizeFromShape(before), shape[axis], tf.util.sizeFromShape(after)];
  const length = (size - 1) * rate + 1;
  return kernel
    .reshape([outer, size, 1, inner])
    .pad([
      [0, 0],
      [0, 0],
      [0, rate - 1],
      [0, 0],
    ])
    .reshape([outer, size * rate, inner])
    .slice([0, 0, 0], [outer, length, inner])
    .reshape([...before, length, ...after]);
}

/** Convolutions with gaps have no gradients: where these are recorded, the kernel is spread out and has none. */
function withoutGaps(className: string, field: "kernel" | "depthwiseKernel"): void {
  const layer = classOf(className);
  const { call } = layer;
  layer.call = function (this: Fields, inputs: tf.Tensor | tf.Tensor[], settings: Settings) {
    const rates = [this.dilationRate ?? 1].flat() as number[];
    const rank: number = this.rank ?? 2;
    const all = Array.from({ length: rank }, (_, axis) => rates[axis] ?? rates[0]);
    if (!isRecorded() || all.every((rate) => rate === 1)) return call.call(this, inputs, settings);
    const variable = this[field];
    const read = () =>
      all.reduce((kernel, rate, axis) => spread(kernel, axis, rate), variable.read() as tf.Tensor);
    const plain = Object.create(this, {
      dilationRate: { value: all.map(() => 1) as Pair },
      [field]: { value: Object.create(variable, { read: { value: read } }) },
    });
    return tf.tidy(() => call.call(plain, inputs, settings));
  };
}

for (const name of ["Conv1D", "Conv2D"]) withoutGaps(name, "kernel");
for (const name of ["SeparableConv2D", "DepthwiseConv2D"]) withoutGaps(name, "depthwiseKernel");

/**
 * Batch normalisation trains with scale and offset only, knows no volumes, and takes one channel's numbers for another's along any axis but the
 * last (on the JavaScript and the WASM backend alike): there its formula is written out.
 */
const norm = classOf("BatchNormalization");
const { call: normalise } = norm;
norm.call = function (this: Fields, inputs: tf.Tensor | tf.Tensor[], settings: { training?: boolean }) {
  const [x] = [inputs].flat();
  const axis: number = this.axis < 0 ? this.axis + x.rank : this.axis;
  const training = settings?.training ?? false;
  const whole = (this.gamma && this.beta) || !(training || isRecorded());
  if (whole && axis === x.rank - 1 && x.rank <= 4) return normalise.call(this, inputs, settings);
  return tf.tidy(() => {
    const shape = x.shape.map((size, at) => (at === axis ? size : 1));
    const others = x.shape.flatMap((_, at) => (at === axis ? [] : [at]));
    const seen = training ? tf.moments(x, others) : undefined;
    const mean = seen?.mean ?? this.movingMean.read();
    const variance = seen?.variance ?? this.movingVariance.read();
    if (seen)
      for (const [kept, value] of [
        [this.movingMean, seen.mean],
        [this.movingVariance, seen.variance],
      ])
        tf.tidy(() =>
          kept.write(
            kept
              .read()
              .mul(this.momentum)
              .add(value.mul(1 - this.momentum)),
          ),
        );
    const flat = x.sub(mean.reshape(shape)).mul(variance.add(this.epsilon).rsqrt().reshape(shape));
    const scaled = this.gamma ? flat.mul(this.gamma.read().reshape(shape)) : flat;
    return this.beta ? scaled.add(this.beta.read().reshape(shape)) : scaled;
  });
};

/** A comparison does not change with its operands but where it jumps. */
for (const kernelName of ["Greater", "GreaterEqual", "Less", "LessEqual"])
  tf.registerGradient({
    kernelName,
    inputsToSave: ["a", "b"],
    gradFunc: (_, [a, b]) => ({ a: () => tf.zerosLike(a), b: () => tf.zerosLike(b) }),
  });

/** A transposed convolution of volumes is a gradient itself; its own are the convolution and that one's kernel gradient. */
tf.registerGradient({
  kernelName: "Conv3DBackpropInputV2",
  inputsToSave: ["dy", "filter"],
  gradFunc: (given, [dy, filter], attrs) => {
    const { strides, pad } = attrs as unknown as { strides: [number, number, number]; pad: "valid" | "same" };
    const x = given as tf.Tensor5D;
    return {
      dy: () => tf.conv3d(x, filter as tf.Tensor5D, strides, pad),
      filter: () =>
        tf.engine().runKernel("Conv3DBackpropFilterV2", { x, dy }, {
          strides,
          pad,
          filterShape: filter.shape,
        } as never) as tf.Tensor,
    };
  },
});
