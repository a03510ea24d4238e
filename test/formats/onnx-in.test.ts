import assert from "node:assert/strict";
import {
  decodeOnnx,
  encodeGraphAsOnnx,
  encodeOnnx,
  FormatError,
  importOnnx,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  runWithEngine,
} from "../../lib/formats/index.ts";
import { permuted } from "../../lib/formats/network.ts";
import { ProtoWriter } from "../../lib/formats/protobuf.ts";
import { dependenciesOf } from "../../lib/graph/index.ts";
import { graphOf, loadPretrained, modelOf, tf, useBackend } from "../../lib/nn/index.ts";
import { seeded } from "../../lib/util/random.ts";
import { fuzzNetworks } from "./mutate.ts";
import { answers, branching, foreign, inputsFor, relative, small } from "./networks.ts";

const random = seeded(3);
const floats = (name: string, ...shape: number[]): OnnxTensor => {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random() - 0.4);
  return { name, type: "FLOAT", shape, bytes: new Uint8Array(values.buffer) };
};
const numbers = (name: string, ...values: number[]): OnnxTensor => ({
  name,
  type: "INT64",
  shape: [values.length],
  bytes: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
});
const scalar = (name: string, value: number): OnnxTensor => ({
  name,
  type: "FLOAT",
  shape: [],
  bytes: new Uint8Array(Float32Array.of(value).buffer),
});
const node = (
  op: string,
  inputs: string[],
  output: string,
  attributes: OnnxNode["attributes"] = {},
): OnnxNode => ({
  op,
  domain: "",
  name: output,
  inputs,
  outputs: [output],
  attributes,
});
const model = (changes: Partial<OnnxModel>): OnnxModel => ({
  irVersion: 7,
  producer: "test",
  opsets: { "": 13 },
  name: "test",
  nodes: [],
  initializers: [],
  inputs: [{ name: "x", type: "FLOAT", shape: ["N", 3, 9, 8] }],
  outputs: [{ name: "y", type: "FLOAT", shape: ["N", 5] }],
  ...changes,
});

/** As exporters write them: channels first, a shape that is computed, hard swish in pieces, a factor behind a convolution. */
const exported = () =>
  model({
    initializers: [
      floats("k1", 6, 3, 3, 3),
      floats("f1", 6, 1, 1),
      floats("o1", 1, 6, 1, 1),
      floats("k2", 6, 1, 3, 3),
      floats("b2", 6),
      floats("k3", 6 * 5 * 4, 5),
      floats("b3", 5),
      scalar("three", 3),
      scalar("zero", 0),
      scalar("six", 6),
      numbers("batch", 0),
      numbers("rest", -1),
      floats("s1", 4, 6, 1, 1),
      floats("s2", 6, 4, 1, 1),
    ],
    nodes: [
      node("Conv", ["x", "k1"], "c1", { strides: [2, 2], pads: [1, 1, 1, 1], kernel_shape: [3, 3] }),
      node("Mul", ["c1", "f1"], "m1"),
      node("Add", ["m1", "o1"], "n1"),
      node("Add", ["n1", "three"], "a1"),
      node("Clip", ["a1", "zero", "six"], "l1"),
      node("Mul", ["n1", "l1"], "g1"),
      node("Div", ["g1", "six"], "h1"),
      node("Conv", ["h1", "k2", "b2"], "d1", { group: 6, auto_pad: "SAME_UPPER", kernel_shape: [3, 3] }),
      node("GlobalAveragePool", ["d1"], "p1"),
      node("Conv", ["p1", "s1"], "e1", { kernel_shape: [1, 1] }),
      node("Relu", ["e1"], "r1"),
      node("Conv", ["r1", "s2"], "e2", { kernel_shape: [1, 1] }),
      node("Sigmoid", ["e2"], "e3"),
      node("Mul", ["d1", "e3"], "x1"),
      node("AveragePool", ["x1"], "v1", { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
      node("Shape", ["v1"], "shape"),
      node("Gather", ["shape", "batch"], "n"),
      node("Concat", ["n", "rest"], "flat", { axis: 0 }),
      node("Reshape", ["v1", "flat"], "rows"),
      node("MatMul", ["rows", "k3"], "dense"),
      node("Add", ["dense", "b3"], "sum"),
      node("Softmax", ["sum"], "y", { axis: 1 }),
    ],
  });

describe("formats: ONNX in", function () {
  this.timeout(300_000);
  before(() => useBackend("wasm"));

  it("networks with every layer come back as onnxruntime runs them", async () => {
    for (const [network, weights] of [
      [await loadPretrained("lenet-5"), "float32"],
      [branching(), "float32"],
      [foreign(), "float32"],
      [branching(), "float16"],
      [branching(), "int8"],
    ] as const) {
      const bytes = encodeGraphAsOnnx(graphOf(network), { weights, keepFloatBelow: 0 });
      const { graph, notes } = importOnnx(bytes);
      assert.deepEqual(notes, []);
      const { values, shape } = inputsFor(network, 2);
      const { outputs } = await runWithEngine(bytes, [{ shape, values }]);
      const difference = relative(answers(modelOf(graph), values, shape), outputs[0].values);
      assert.ok(difference < 1e-5, `${network.name} in ${weights}: ${difference} of the largest output`);
    }
  });

  it("channels first, shapes that are computed, gates in pieces: layers as people know them, and the same numbers", async () => {
    const bytes = encodeOnnx(exported());
    const { graph, notes } = importOnnx(bytes);
    assert.deepEqual(notes, ["input x has channels last in the network: [9, 8, 3]"]);
    const kinds = graph.nodes.map(({ kind }) => kind);
    for (const kind of ["batchNormalization", "hardSwish", "depthwiseConv2d", "averagePooling2d", "dense"])
      assert.ok(kinds.includes(kind), `${kind} is not among ${kinds}`);
    assert.ok(
      !kinds.includes("affine") && !kinds.includes("permute") && !kinds.includes("clip"),
      String(kinds),
    );
    const { groups } = dependenciesOf(graph);
    // The first filters go with the depthwise ones, their gate and the dense layer's rows; the gate has units of its own.
    assert.deepEqual(groups.map(({ size }) => size).sort(), [4, 6]);
    const { values } = inputsFor(modelOf(graph), 1);
    const image = tf.tensor(values, [1, 9, 8, 3]);
    const first = Float32Array.from(image.transpose([0, 3, 1, 2]).dataSync());
    const { outputs } = await runWithEngine(bytes, [{ shape: [1, 3, 9, 8], values: first }]);
    const difference = relative(answers(modelOf(graph), values, [1, 9, 8, 3]), outputs[0].values);
    assert.ok(difference < 1e-5, `${difference} of the largest output`);
  });

  it("a slice that names the batch and leaves it whole, as tf2onnx writes a cropping, is taken", async () => {
    const cut = (start: number) =>
      model({
        initializers: [
          numbers("starts", start, 1, 2),
          numbers("ends", 2 ** 31 - 1, 2 ** 31 - 1, 7),
          numbers("axes", 0, 2, 3),
        ],
        nodes: [node("Slice", ["x", "starts", "ends", "axes"], "a"), node("Relu", ["a"], "y")],
        outputs: [{ name: "y", type: "FLOAT", shape: ["N", 3, 8, 5] }],
      });
    const bytes = encodeOnnx(cut(0));
    const read = modelOf(importOnnx(bytes).graph);
    const { values, shape } = inputsFor(read, 2);
    const [, high, wide, channels] = shape;
    const turned = permuted(values, shape, [0, 3, 1, 2]);
    const { outputs } = await runWithEngine(bytes, [{ shape: [2, channels, high, wide], values: turned }]);
    assert.deepEqual(outputs[0].shape, [2, channels, 8, 5]);
    // What comes out lies as the file has it.
    assert.deepEqual(answers(read, values, shape), outputs[0].values);
    assert.throws(() => importOnnx(encodeOnnx(cut(1))), /Slice "a": axis 0 .* is not supported/);
  });

  it("refuses what it cannot hold, all at once, and says what is wrong", () => {
    const refused = (changes: Partial<OnnxModel>, message: RegExp) =>
      assert.throws(
        () => importOnnx(encodeOnnx(model(changes)), { file: "x.onnx" }),
        (error: Error) => {
          assert.ok(error instanceof FormatError, error.stack);
          assert.match(error.message, /^x\.onnx/);
          assert.match(error.message, message);
          return true;
        },
      );
    const tensor = new ProtoWriter().integer(1, 4).integer(2, 1).text(8, "k").integer(14, 1);
    const elsewhere = new ProtoWriter()
      .message(7, new ProtoWriter().message(5, tensor))
      .message(8, new ProtoWriter().integer(2, 17))
      .finish();
    assert.throws(
      () => importOnnx(elsewhere, { file: "x.onnx" }),
      /^FormatError: x\.onnx: tensor "k" lies in another file, which is not supported: save the model in one/,
    );
    const relu = node("Relu", ["x"], "y");
    refused(
      {
        nodes: [
          node("LSTM", ["x"], "a"),
          node("Loop", ["a"], "b"),
          node("LSTM", ["x"], "c"),
          node("Relu", ["c"], "y"),
        ],
      },
      /no layer is known for the operators LSTM \(2 times\), Loop$/,
    );
    refused({ nodes: [relu], opsets: { "": 3 } }, /is of opset 3; what can be read: 7 to 22/);
    refused({ nodes: [relu], opsets: { "": 99 } }, /is of opset 99/);
    refused(
      { nodes: [], outputs: [{ name: "x", type: "FLOAT", shape: [] }], inputs: [] },
      /"x" is read before|0 inputs/,
    );
    refused({ nodes: [] }, /"y" is read before it is written/);
    refused(
      { nodes: [node("Add", ["x", "b"], "a"), node("Relu", ["a"], "b"), node("Relu", ["b"], "y")] },
      /"b" is read before it is written/,
    );
    refused(
      { nodes: [relu], inputs: [{ name: "x", type: "FLOAT", shape: ["N", 3, "high", null] }] },
      /input "x" has sizes that are not fixed, \[N, 3, high, \?\]: .* \(--input x=3x32x32, inputShapes\)/,
    );
    const sized = encodeOnnx(
      model({ nodes: [relu], inputs: [{ name: "x", type: "FLOAT", shape: ["N", 3, "high", null] }] }),
    );
    const given = (inputShapes: Record<string, number[]>) =>
      importOnnx(sized, { inputShapes }).graph.tensors.x.shape;
    assert.deepEqual(given({ x: [3, 9, 8] }), [9, 8, 3]);
    // A size that the file says, and others, are not to be overruled in silence.
    for (const x of [
      [9, 8, 3],
      [3, 9],
      [3, 9, 8, 1],
    ])
      assert.throws(
        () => given({ x }),
        /sizes of "x" must be as the file has them .*\[N, 3, high, \?\], got /,
      );
    assert.throws(() => given({ x: [3, 9, 8], y: [3] }), /sizes are given for input "y"; there is "x"/);
    refused(
      { nodes: [relu], inputs: [{ name: "x", type: "UINT8", shape: ["N", 3, 9, 8] }] },
      /input "x" is of UINT8/,
    );
    refused(
      { nodes: [relu], inputs: [{ name: "x", type: "FLOAT", shape: ["N", 2 ** 30, 2 ** 30, 4] }] },
      /sizes above 0 and at most/,
    );
    refused(
      {
        initializers: [floats("k", 6, 1, 3, 3)],
        nodes: [node("Conv", ["x", "k"], "y", { group: 2, kernel_shape: [3, 3] })],
      },
      /Conv "y": convolutions in 2 groups are not supported/,
    );
    refused({ nodes: [node("Transpose", ["x"], "y", { perm: [1, 0, 2, 3] })] }, /moves the batch/);
    const open = encodeOnnx(
      model({ nodes: [relu], inputs: [{ name: "x", type: "FLOAT", shape: ["N", 3, "h", "w"] }] }),
    );
    assert.deepEqual(importOnnx(open, { inputShapes: { x: [3, 4, 5] } }).graph.tensors.x.shape, [4, 5, 3]);
  });

  it("damaged files are refused or read, and never more", async () => {
    const bytes = encodeGraphAsOnnx(graphOf(small()));
    assert.ok(decodeOnnx(bytes).nodes.length > 0);
    await fuzzNetworks(bytes, (damaged) => importOnnx(damaged).graph);
  });
});
