// What TensorFlow.js 4.22's layers forget or leave out, put right on their classes.
import { depthwiseConv2d, LayersModel, layers, type Shape, type Tensor4D, tidy } from "#tfjs";

// It forgets a separable convolution's multiplier in its settings: copies and saved models would lose it.
const separable = Object.getPrototypeOf(
  Object.getPrototypeOf(layers.separableConv2d({ filters: 1, kernelSize: 1 })),
);
const { getConfig } = separable;
separable.getConfig = function () {
  return { ...getConfig.call(this), depthMultiplier: this.depthMultiplier };
};

// Its depthwise layer knows its dilation and computes without.
const depthwise = Object.getPrototypeOf(layers.depthwiseConv2d({ kernelSize: 1 }));
const { call, computeOutputShape, getConfig: depthwiseConfig } = depthwise;
// In its settings its regularizer stands where its constraint should: copies would be forced onto one number.
depthwise.getConfig = function () {
  const constraint = this.depthwiseConstraint;
  const depthwiseConstraint = constraint && {
    className: constraint.getClassName(),
    config: constraint.getConfig(),
  };
  return { ...depthwiseConfig.call(this), depthwiseConstraint };
};
const dilationOf = (layer: { dilationRate: number | number[] }): [number, number] => {
  const [high, wide = high] = [layer.dilationRate].flat();
  return [high, wide];
};
depthwise.call = function (inputs: Tensor4D | Tensor4D[], kwargs: object) {
  const dilation = dilationOf(this);
  if (dilation.every((rate) => rate === 1)) return call.call(this, inputs, kwargs);
  return tidy(() => {
    const [given] = [inputs].flat();
    const isFirst = this.dataFormat === "channelsFirst";
    const x: Tensor4D = isFirst ? given.transpose([0, 2, 3, 1]) : given;
    const kernel = this.depthwiseKernel.read();
    const sums = depthwiseConv2d(x, kernel, this.strides, this.padding, "NHWC", dilation);
    const shifted = this.useBias ? sums.add(this.bias.read()) : sums;
    const placed = isFirst ? shifted.transpose([0, 3, 1, 2]) : shifted;
    return this.activation ? this.activation.apply(placed) : placed;
  });
};
depthwise.computeOutputShape = function (shape: Shape) {
  const [high, wide] = dilationOf(this);
  if ((high === 1 && wide === 1) || this.padding === "same") return computeOutputShape.call(this, shape);
  // A window with gaps reaches as far as a larger one.
  const kernelSize = [this.kernelSize].flat().map((n: number, i: number) => (n - 1) * [high, wide][i] + 1);
  return computeOutputShape.call(Object.create(this, { kernelSize: { value: kernelSize } }), shape);
};

// Its resizing layer hands its list of inputs on as if it were one picture.
const resizing = Object.getPrototypeOf(layers.resizing({ height: 1, width: 1 }));
const { call: resized } = resizing;
resizing.call = function (inputs: Tensor4D | Tensor4D[], kwargs: object) {
  return resized.call(this, [inputs].flat()[0], kwargs);
};

/** What a network knows of a layer in it, and of the calls that are its own. */
interface Called {
  name: string;
  inboundNodes: unknown[];
  _refCount: number;
}

// Layers count their calls, and a network gives back one: what it calls twice would stay in memory for good.
const container = Object.getPrototypeOf(LayersModel.prototype);
const { dispose } = container;
container.dispose = function (this: {
  layers: Called[];
  containerNodes: Set<string>;
  _refCount: number;
}) {
  if (this._refCount === 1) {
    for (const layer of this.layers) {
      const isOwn = (_: unknown, i: number) => this.containerNodes.has(`${layer.name}_ib-${i}`);
      const calls = layer.inboundNodes.filter(isOwn).length;
      if (calls > 1) layer._refCount = Math.max(1, layer._refCount - (calls - 1));
    }
  }
  return dispose.call(this);
};
