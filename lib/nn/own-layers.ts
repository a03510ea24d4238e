// Layers that TensorFlow.js lacks and networks of other formats have, each a class of TensorFlow.js that is saved and loaded
// like its own. Their shapes are those of lib/graph.
import { outputShapeOf, type Shape } from "../graph/index.ts";
import { tf } from "./tf.ts";

type Settings = Record<string, unknown>;
type Compute = (inputs: tf.Tensor[], settings: Settings) => tf.Tensor;

/** Registers a layer without weights: a kind of lib/graph, its class, what it is set to, and what it computes. */
function define(kind: string, className: string, settings: readonly string[], compute: Compute): void {
  class Own extends tf.layers.Layer {
    static className = className;
    readonly settings: Settings;
    constructor(config: Settings) {
      super(config as never);
      this.settings = Object.fromEntries(
        settings.filter((name) => name in config).map((name) => [name, config[name]]),
      );
    }
    override computeOutputShape(shapes: tf.Shape | tf.Shape[]): tf.Shape {
      const all = (Array.isArray(shapes[0]) ? shapes : [shapes]) as tf.Shape[];
      const layer = { name: this.name, kind, attributes: this.settings, weights: {} };
      return [all[0][0], ...outputShapeOf(layer, all.map((shape) => shape.slice(1)) as Shape[])];
    }
    override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
      return tf.tidy(() => compute([inputs].flat(), this.settings));
    }
    override getConfig(): tf.serialization.ConfigDict {
      return { ...super.getConfig(), ...(this.settings as tf.serialization.ConfigDict) };
    }
  }
  tf.serialization.registerClass(Own);
}

/** ReLU6(x + 3) / 6 times x, as Howard et al., "Searching for MobileNetV3" (2019), have it. */
define("hardSwish", "HardSwish", [], ([x]) => x.mul(x.add(3).clipByValue(0, 6)).div(6));
define("hardSigmoid", "HardSigmoid", ["alpha", "beta"], ([x], { alpha, beta }) =>
  x.mul(Number(alpha)).add(Number(beta)).clipByValue(0, 1),
);
define("clip", "Clip", ["min", "max"], ([x], { min, max }) => x.clipByValue(Number(min), Number(max)));
define("elementwise", "Elementwise", ["function"], ([x], settings) => {
  const functions = tf as unknown as Record<string, (x: tf.Tensor) => tf.Tensor>;
  return functions[String(settings.function)](x);
});
define("subtract", "Subtract", [], ([a, b]) => a.sub(b));
define("divide", "Divide", [], ([a, b]) => a.div(b));
define("reduce", "Reduce", ["function", "axes", "keepDims"], ([x], settings) => {
  const functions = tf as unknown as Record<
    string,
    (x: tf.Tensor, axes: number[], keep: boolean) => tf.Tensor
  >;
  const axes = (settings.axes as number[]).map((axis) => axis + 1);
  return functions[String(settings.function)](x, axes, Boolean(settings.keepDims));
});
define("pad", "Pad", ["paddings", "mode", "value"], ([x], { paddings, mode = "constant", value = 0 }) => {
  const all = [[0, 0], ...(paddings as [number, number][])] as [number, number][];
  return mode === "constant"
    ? tf.pad(x, all, Number(value))
    : tf.mirrorPad(x, all, mode as "reflect" | "symmetric");
});
define("slice", "Slice", ["begin", "end", "strides"], ([x], settings) => {
  const { begin, end, strides } = settings as Record<string, number[]>;
  const whole = strides.every((stride) => stride === 1);
  // A plain slice has a gradient.
  if (whole)
    return tf.slice(
      x,
      [0, ...begin],
      [-1, ...begin.map((from, axis) => Math.min(end[axis], x.shape[axis + 1]) - from)],
    );
  return tf.stridedSlice(x, [0, ...begin], [x.shape[0], ...end], [1, ...strides]);
});
define(
  "resize",
  "Resize",
  ["size", "interpolation", "alignCorners", "halfPixelCenters"],
  ([x], { size, interpolation, alignCorners = false, halfPixelCenters = false }) => {
    const resize = interpolation === "nearest" ? tf.image.resizeNearestNeighbor : tf.image.resizeBilinear;
    return resize(x as tf.Tensor4D, size as [number, number], !!alignCorners, !!halfPixelCenters);
  },
);
// By reshaping, which has a gradient.
define("depthToSpace", "DepthToSpace", ["blockSize"], ([x], { blockSize }) => {
  const [batch, high, wide, channels] = x.shape;
  const block = Number(blockSize);
  const deep = channels / block ** 2;
  return x
    .reshape([batch, high, wide, block, block, deep])
    .transpose([0, 1, 3, 2, 4, 5])
    .reshape([batch, high * block, wide * block, deep]);
});
define("spaceToDepth", "SpaceToDepth", ["blockSize"], ([x], { blockSize }) => {
  const [batch, high, wide, channels] = x.shape;
  const block = Number(blockSize);
  return x
    .reshape([batch, high / block, block, wide / block, block, channels])
    .transpose([0, 1, 3, 2, 4, 5])
    .reshape([batch, high / block, wide / block, channels * block ** 2]);
});

/** A factor and an offset for each number, or for all along the axes that are shared (from 1, the batch not counted). */
class Affine extends tf.layers.Layer {
  static className = "Affine";
  readonly #shared: number[];

  constructor(config: Settings) {
    super(config as never);
    this.#shared = (config.sharedAxes as number[] | undefined) ?? [];
  }

  override build(inputShape: tf.Shape | tf.Shape[]): void {
    const own = (Array.isArray(inputShape[0]) ? inputShape[0] : inputShape) as tf.Shape;
    const shape = own.slice(1).map((size, axis) => (this.#shared.includes(axis + 1) ? 1 : size));
    this.addWeight("factor", shape, "float32", tf.initializers.ones());
    this.addWeight("offset", shape, "float32", tf.initializers.zeros());
    this.built = true;
  }

  override computeOutputShape(shape: tf.Shape): tf.Shape {
    return shape;
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return tf.tidy(() => {
      const [factor, offset] = this.weights.map((weight) => weight.read());
      return [inputs].flat()[0].mul(factor).add(offset);
    });
  }

  override getConfig(): tf.serialization.ConfigDict {
    return { ...super.getConfig(), sharedAxes: this.#shared };
  }
}
tf.serialization.registerClass(Affine);
