// LeNet-5 as a graph, for what counts it and for what runs it.
import type { Graph, GraphNode, GraphWeight } from "../../../graph/index.ts";

/**
 * LeNet-5 with so many filters in its convolutions.
 *
 * @param values of weights by name, "conv1/kernel"; without them the graph has shapes only
 */
export function lenet5(first = 20, second = 50, values: Readonly<Record<string, Float32Array>> = {}): Graph {
  const shapes: [layer: string, kind: string, output: number[], kernel?: number[]][] = [
    ["input", "input", [28, 28, 1]],
    ["conv1", "conv2d", [24, 24, first], [5, 5, 1, first]],
    ["pool1", "maxPooling2d", [12, 12, first]],
    ["conv2", "conv2d", [8, 8, second], [5, 5, first, second]],
    ["pool2", "maxPooling2d", [4, 4, second]],
    ["flatten", "flatten", [16 * second]],
    ["fc1", "dense", [500], [16 * second, 500]],
    ["fc2", "dense", [10], [500, 10]],
  ];
  const weight = (name: string, shape: number[]): GraphWeight => ({
    shape,
    trainable: true,
    ...(values[name] ? { values: values[name] } : {}),
  });
  const nodes = shapes.map(
    ([name, kind, output, kernel], i): GraphNode => ({
      name,
      kind,
      inputs: i === 0 ? [] : [shapes[i - 1][0]],
      outputs: [name],
      attributes: {
        ...(kind === "conv2d" ? { strides: [1, 1], padding: "valid" } : {}),
        ...(kind === "maxPooling2d" ? { poolSize: [2, 2], strides: [2, 2], padding: "valid" } : {}),
        ...(kernel ? { activation: name === "fc2" ? "softmax" : "relu" } : {}),
      },
      weights: kernel
        ? { kernel: weight(`${name}/kernel`, kernel), bias: weight(`${name}/bias`, output.slice(-1)) }
        : {},
    }),
  );
  return {
    name: "lenet-5",
    nodes,
    tensors: Object.fromEntries(shapes.map(([name, , shape]) => [name, { shape }])),
    inputs: ["input"],
    outputs: ["fc2"],
    sequential: true,
  };
}
