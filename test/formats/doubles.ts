// A network in double precision, by the plainest loops there are: tells who is nearer to the truth where an engine and our
// own run in single precision and differ. Kinds of layers as real files have them; one example at a time.
import { activationOf, type Graph, type GraphNode } from "../../lib/graph/index.ts";
import { elements } from "../../lib/util/shape.ts";

interface Value {
  shape: number[];
  values: Float64Array;
}

const activations: Record<string, (x: number) => number> = {
  linear: (x) => x,
  relu: (x) => Math.max(0, x),
  relu6: (x) => Math.min(6, Math.max(0, x)),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
};

const eachOf = ({ shape, values }: Value, change: (x: number, i: number) => number): Value => ({
  shape,
  values: values.map(change),
});

/** What a network gives for one example, by the order of its outputs. */
export function inDoubles(graph: Graph, inputs: readonly Float32Array[]): Float64Array[] {
  const known = new Map<string, Value>();
  for (const node of graph.nodes) {
    const [name] = node.outputs;
    const shape = graph.tensors[name].shape as number[];
    const given = node.inputs.map((tensor) => known.get(tensor)!);
    if (node.kind === "input")
      known.set(name, { shape, values: Float64Array.from(inputs[graph.inputs.indexOf(name)]) });
    else known.set(name, computed(node, given, shape));
  }
  return graph.outputs.map((tensor) => known.get(tensor)!.values);
}

function computed(node: GraphNode, inputs: Value[], shape: number[]): Value {
  const { kind, attributes } = node;
  const [x, y] = inputs;
  const weight = (role: string) => node.weights[role]?.values;
  const channels = shape.at(-1)!;
  switch (kind) {
    case "reshape":
    case "flatten":
    case "dropout":
      return { shape, values: x.values };
    case "activation":
      return eachOf(x, activations[attributes.activation as string]);
    case "hardSwish":
      return eachOf(x, (a) => (a * Math.min(6, Math.max(0, a + 3))) / 6);
    case "hardSigmoid":
      return eachOf(x, (a) =>
        Math.min(1, Math.max(0, (attributes.alpha as number) * a + (attributes.beta as number))),
      );
    case "prelu": {
      const alpha = weight("alpha")!;
      return eachOf(x, (a, i) => (a < 0 ? a * alpha[i % alpha.length] : a));
    }
    case "batchNormalization": {
      const [gamma, beta, mean, variance] = ["gamma", "beta", "movingMean", "movingVariance"].map(weight);
      return eachOf(x, (a, i) => {
        const c = i % channels;
        const root = Math.sqrt(variance![c] + (attributes.epsilon as number));
        return ((a - mean![c]) / root) * (gamma?.[c] ?? 1) + (beta?.[c] ?? 0);
      });
    }
    case "add":
    case "multiply":
      return moved(shape, (at) =>
        kind === "add" ? valueAt(x, at) + valueAt(y, at) : valueAt(x, at) * valueAt(y, at),
      );
    case "concatenate": {
      // The batch is counted among a layer's axes, and not among ours.
      const axis =
        (attributes.axis as number) < 0
          ? shape.length + (attributes.axis as number)
          : (attributes.axis as number) - 1;
      return moved(shape, (at) => {
        const place = [...at];
        for (const each of inputs) {
          if (place[axis] < each.shape[axis]) return valueAt(each, place);
          place[axis] -= each.shape[axis];
        }
        return Number.NaN;
      });
    }
    case "slice":
      return moved(shape, (at) =>
        valueAt(
          x,
          at.map(
            (i, axis) => (attributes.begin as number[])[axis] + i * (attributes.strides as number[])[axis],
          ),
        ),
      );
    case "zeroPadding2d":
    case "pad": {
      const given = (attributes.paddings ?? [...(attributes.padding as number[][]), [0, 0]]) as number[][];
      const outside = (attributes.value as number) ?? 0;
      return moved(shape, (at) => {
        const place = at.map((i, axis) => i - given[axis][0]);
        return place.every((i, axis) => i >= 0 && i < x.shape[axis]) ? valueAt(x, place) : outside;
      });
    }
    case "depthToSpace": {
      const block = attributes.blockSize as number;
      return moved(shape, ([r, c, o]) =>
        valueAt(x, [
          Math.floor(r / block),
          Math.floor(c / block),
          ((r % block) * block + (c % block)) * channels + o,
        ]),
      );
    }
    case "permute":
      return moved(shape, (at) => {
        const place = new Array(at.length);
        for (const [axis, from] of (attributes.dims as number[]).entries()) place[from - 1] = at[axis];
        return valueAt(x, place);
      });
    case "upSampling2d": {
      if ((attributes.interpolation ?? "nearest") !== "nearest")
        throw new Error(`${node.name} has no loops here`);
      const [height, width] = attributes.size as number[];
      return moved(shape, ([r, c, o]) => valueAt(x, [Math.floor(r / height), Math.floor(c / width), o]));
    }
    case "resize":
      return resized(x, shape, attributes);
    case "globalAveragePooling2d": {
      const values = new Float64Array(channels);
      for (const [i, a] of x.values.entries()) values[i % channels] += a;
      return { shape, values: values.map((sum) => (sum * channels) / x.values.length) };
    }
    case "averagePooling2d":
    case "maxPooling2d":
      return pooled(node, x, shape);
    case "dense": {
      const [kernel, bias] = [weight("kernel")!, weight("bias")];
      const values = new Float64Array(channels);
      for (const [i, a] of x.values.entries())
        for (let o = 0; o < channels; o++) values[o] += a * kernel[i * channels + o];
      return finished(node, { shape, values }, bias);
    }
    case "conv2d":
    case "depthwiseConv2d":
      return finished(node, convolved(node, x, shape), weight("bias"));
    case "conv2dTranspose":
      return finished(node, turnedBack(node, x, shape), weight("bias"));
    default:
      throw new Error(`${node.name} is of kind ${kind}, which has no loops here`);
  }
}

function finished(node: GraphNode, value: Value, bias: Float32Array | undefined): Value {
  const activation = activations[activationOf(node)];
  const channels = value.shape.at(-1)!;
  return eachOf(value, (a, i) => activation(a + (bias?.[i % channels] ?? 0)));
}

/** A value of a shape, its numbers by their places. */
function moved(shape: number[], of: (at: number[]) => number): Value {
  const values = new Float64Array(elements(shape));
  const at = new Array(shape.length).fill(0);
  for (let i = 0; i < values.length; i++) {
    values[i] = of(at);
    for (let axis = shape.length - 1; axis >= 0 && ++at[axis] === shape[axis]; axis--) at[axis] = 0;
  }
  return { shape, values };
}

/** The number at a place; axes of size 1 are the same everywhere, and those that are missing come first. */
function valueAt({ shape, values }: Value, at: readonly number[]): number {
  const missing = at.length - shape.length;
  return values[shape.reduce((place, size, axis) => place * size + (size === 1 ? 0 : at[axis + missing]), 0)];
}

function resized(
  x: Value,
  shape: number[],
  { interpolation, alignCorners, halfPixelCenters }: GraphNode["attributes"],
): Value {
  const source = (i: number, axis: number) => {
    const [from, to] = [x.shape[axis], shape[axis]];
    if (alignCorners) return to === 1 ? 0 : (i * (from - 1)) / (to - 1);
    return halfPixelCenters ? ((i + 0.5) * from) / to - 0.5 : (i * from) / to;
  };
  if (interpolation === "nearest") {
    if (alignCorners || halfPixelCenters) throw new Error("resize to the nearest has loops for corners only");
    return moved(shape, ([r, c, o]) => valueAt(x, [Math.floor(source(r, 0)), Math.floor(source(c, 1)), o]));
  }
  return moved(shape, ([r, c, o]) => {
    const [u, v] = [Math.max(0, source(r, 0)), Math.max(0, source(c, 1))];
    const [top, left] = [Math.floor(u), Math.floor(v)];
    const [below, right] = [Math.min(top + 1, x.shape[0] - 1), Math.min(left + 1, x.shape[1] - 1)];
    const row = (from: number) =>
      valueAt(x, [from, Math.min(left, x.shape[1] - 1), o]) * (1 - (v - left)) +
      valueAt(x, [from, right, o]) * (v - left);
    return row(Math.min(top, x.shape[0] - 1)) * (1 - (u - top)) + row(below) * (u - top);
  });
}

/** How far a window begins before its image. */
function before(
  node: GraphNode,
  sizes: readonly number[],
  windows: readonly number[],
  strides: readonly number[],
  outputs: readonly number[],
): number[] {
  if (node.attributes.padding !== "same") return [0, 0];
  return [0, 1].map(
    (axis) => Math.max(0, (outputs[axis] - 1) * strides[axis] + windows[axis] - sizes[axis]) >> 1,
  );
}

function pooled(node: GraphNode, x: Value, shape: number[]): Value {
  const [size, strides] = [node.attributes.poolSize, node.attributes.strides] as number[][];
  const pad = before(node, x.shape, size, strides, shape);
  const most = node.kind === "maxPooling2d";
  return moved(shape, ([r, c, o]) => {
    let [found, count] = [most ? Number.NEGATIVE_INFINITY : 0, 0];
    for (let i = 0; i < size[0]; i++)
      for (let j = 0; j < size[1]; j++) {
        const [row, col] = [r * strides[0] - pad[0] + i, c * strides[1] - pad[1] + j];
        if (row < 0 || col < 0 || row >= x.shape[0] || col >= x.shape[1]) continue;
        const a = valueAt(x, [row, col, o]);
        found = most ? Math.max(found, a) : found + a;
        count++;
      }
    return most ? found : found / count;
  });
}

function convolved(node: GraphNode, x: Value, [rows, cols, outputs]: number[]): Value {
  const [height, width, channels] = x.shape;
  const [size, strides, dilation] = [
    node.attributes.kernelSize,
    node.attributes.strides,
    node.attributes.dilationRate ?? [1, 1],
  ] as number[][];
  const windows = size.map((one, axis) => (one - 1) * dilation[axis] + 1);
  const pad = before(node, x.shape, windows, strides, [rows, cols]);
  const depthwise = node.kind === "depthwiseConv2d";
  const kernel = Float64Array.from((node.weights.depthwiseKernel ?? node.weights.kernel).values!);
  const multiplier = outputs / channels;
  const values = new Float64Array(rows * cols * outputs);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < cols; c++) {
      const to = (r * cols + c) * outputs;
      for (let i = 0; i < size[0]; i++)
        for (let j = 0; j < size[1]; j++) {
          const [row, col] = [
            r * strides[0] - pad[0] + i * dilation[0],
            c * strides[1] - pad[1] + j * dilation[1],
          ];
          if (row < 0 || col < 0 || row >= height || col >= width) continue;
          const from = (row * width + col) * channels;
          const part = (i * size[1] + j) * channels;
          if (depthwise)
            for (let o = 0; o < outputs; o++)
              values[to + o] += x.values[from + Math.floor(o / multiplier)] * kernel[part * multiplier + o];
          else
            for (let k = 0; k < channels; k++) {
              const a = x.values[from + k];
              for (let o = 0, w = (part + k) * outputs; o < outputs; o++) values[to + o] += a * kernel[w + o];
            }
        }
    }
  return { shape: [rows, cols, outputs], values };
}

function turnedBack(node: GraphNode, x: Value, [rows, cols, outputs]: number[]): Value {
  const [height, width, channels] = x.shape;
  const [size, strides] = [node.attributes.kernelSize, node.attributes.strides] as number[][];
  const pad = before(node, [rows, cols], size, strides, [height, width]);
  const kernel = node.weights.kernel.values!;
  const values = new Float64Array(rows * cols * outputs);
  for (let r = 0; r < height; r++)
    for (let c = 0; c < width; c++)
      for (let i = 0; i < size[0]; i++)
        for (let j = 0; j < size[1]; j++) {
          const [row, col] = [r * strides[0] - pad[0] + i, c * strides[1] - pad[1] + j];
          if (row < 0 || col < 0 || row >= rows || col >= cols) continue;
          for (let o = 0; o < outputs; o++)
            for (let k = 0; k < channels; k++)
              values[(row * cols + col) * outputs + o] +=
                x.values[(r * width + c) * channels + k] *
                kernel[((i * size[1] + j) * outputs + o) * channels + k];
        }
  return { shape: [rows, cols, outputs], values };
}
