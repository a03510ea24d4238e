import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FormatError, importGraphModel } from "../../lib/formats/index.ts";
import type { Graph } from "../../lib/graph/index.ts";
import { graphOf, groupsOf, loadModel, modelOf, tf, useBackend } from "../../lib/nn/index.ts";
import { seeded } from "../../lib/util/random.ts";
import { mobilenetFolder } from "../nn/mobilenet.ts";
import { fuzz } from "./mutate.ts";
import { answers, inputsFor, relative } from "./networks.ts";

const text = (value: string) => ({ s: Buffer.from(value).toString("base64") });
const list = (...values: number[]) => ({ list: { i: values.map(String) } });
const float = { T: { type: "DT_FLOAT" } };
const random = seeded(4);

type Weight = { name: string; shape: number[]; values: Float32Array | Int32Array };
const floats = (name: string, ...shape: number[]): Weight => ({
  name,
  shape,
  values: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random() - 0.3),
});
const whole = (name: string, ...values: number[]): Weight => ({
  name,
  shape: [values.length],
  values: Int32Array.from(values),
});

/** A graph model as TensorFlow's converter writes it, in no particular order. */
function small() {
  const weights = [
    floats("k1", 3, 3, 2, 4),
    floats("b1", 4),
    floats("k2", 3, 3, 4, 2),
    floats("factor", 8),
    floats("offset", 8),
    { ...whole("pads", 0, 0, 1, 0, 0, 2, 0, 0), shape: [4, 2] },
    whole("axes", 1, 2),
    floats("k3", 8, 3),
    floats("b3", 3),
  ];
  const windows = (stride: number) => ({
    strides: list(1, stride, stride, 1),
    data_format: text("NHWC"),
    ...float,
  });
  const node = [
    { name: "out", op: "Softmax", input: ["fc"], attr: float },
    {
      name: "fc",
      op: "_FusedMatMul",
      input: ["mean", "k3", "b3"],
      attr: { num_args: { i: "1" }, fused_ops: { list: { s: [text("BiasAdd").s] } }, ...float },
    },
    { name: "mean", op: "Mean", input: ["shift", "axes"], attr: { keep_dims: { b: false }, ...float } },
    { name: "shift", op: "AddV2", input: ["scaled:0", "offset"], attr: float },
    { name: "scaled", op: "Mul", input: ["deep", "factor"], attr: float },
    {
      name: "deep",
      op: "DepthwiseConv2dNative",
      input: ["pool", "k2"],
      attr: { ...windows(2), padding: text("SAME"), dilations: list(1, 1, 1, 1) },
    },
    {
      name: "pool",
      op: "MaxPool",
      input: ["conv"],
      attr: { ...windows(1), padding: text("SAME"), ksize: list(1, 2, 2, 1) },
    },
    {
      name: "conv",
      op: "_FusedConv2D",
      input: ["padded", "k1", "b1"],
      attr: {
        ...windows(1),
        padding: text("VALID"),
        dilations: list(1, 2, 2, 1),
        num_args: { i: "1" },
        fused_ops: { list: { s: [text("BiasAdd").s, text("Relu6").s] } },
      },
    },
    { name: "padded", op: "Pad", input: ["image", "pads"], attr: float },
    ...weights.map(({ name, values }) => ({
      name,
      op: "Const",
      attr: { dtype: { type: values instanceof Int32Array ? "DT_INT32" : "DT_FLOAT" } },
    })),
    {
      name: "image",
      op: "Placeholder",
      attr: {
        dtype: { type: "DT_FLOAT" },
        shape: { shape: { dim: [-1, 9, 8, 2].map((size) => ({ size })) } },
      },
    },
  ];
  return { topology: { node, versions: {} }, weights };
}

const constants = (weights: Weight[]) =>
  new Map(weights.map(({ name, shape, values }) => [name, { shape, values: Float32Array.from(values) }]));

describe("formats: TensorFlow.js graph models in", function () {
  this.timeout(300_000);
  before(() => useBackend("wasm"));

  it("a graph model becomes layers that compute what TensorFlow.js's own executor does", async () => {
    const { topology, weights } = small();
    const { graph, notes } = importGraphModel(topology, constants(weights));
    assert.deepEqual(notes, []);
    assert.deepEqual(
      graph.nodes.map(({ kind }) => kind),
      [
        "input",
        "zeroPadding2d",
        "conv2d",
        "activation",
        "maxPooling2d",
        "depthwiseConv2d",
        "batchNormalization",
        "globalAveragePooling2d",
        "dense",
        "activation",
      ],
    );
    const executor = await tf.loadGraphModel(
      tf.io.fromMemory({
        format: "graph-model",
        modelTopology: topology,
        weightSpecs: weights.map(({ name, shape, values }) => ({
          name,
          shape,
          dtype: values instanceof Int32Array ? ("int32" as const) : ("float32" as const),
        })),
        weightData: new Uint8Array(
          Buffer.concat(
            weights.map(({ values }) => Buffer.from(values.buffer, values.byteOffset, values.byteLength)),
          ),
        ).buffer,
      }),
    );
    const model = modelOf(graph);
    const { values, shape } = inputsFor(model, 3);
    const got = answers(model, values, shape);
    const expected = tf.tidy(() => (executor.predict(tf.tensor(values, shape)) as tf.Tensor).dataSync());
    const difference = relative(got, expected as Float32Array);
    assert.ok(difference < 1e-5, `${difference} of the largest output`);
    executor.dispose();
    model.dispose();
  });

  it("nsfwjs's MobileNetV2 comes in whole, with the groups that pruning looks for", async function () {
    const folder = await mobilenetFolder("mobilenet_v2_mid");
    if (folder === undefined) this.skip();
    const model = await loadModel(folder);
    const json = JSON.parse(await readFile(join(folder, "model.json"), "utf8"));
    const executor = await tf.loadGraphModel(
      tf.io.fromMemory({
        format: "graph-model",
        modelTopology: json.modelTopology,
        weightSpecs: json.weightsManifest[0].weights,
        weightData: new Uint8Array(await readFile(join(folder, "weights.bin"))).buffer,
      }),
    );
    const { values, shape } = inputsFor(model, 1);
    const expected = tf.tidy(() => (executor.predict(tf.tensor(values, shape)) as tf.Tensor).dataSync());
    const difference = relative(answers(model, values, shape), expected as Float32Array);
    assert.ok(difference < 1e-5, `${difference} of the largest output`);
    assert.equal(graphOf(model).nodes.filter(({ kind }) => kind === "depthwiseConv2d").length, 17);
    assert.equal(groupsOf(model).length, 25);
    executor.dispose();
    model.dispose();
  });

  it("refuses what it cannot hold, all at once, and says what is wrong", () => {
    const refused = (
      change: (nodes: ReturnType<typeof small>["topology"]["node"]) => unknown,
      message: RegExp,
    ) => {
      const { topology, weights } = small();
      const node = change(topology.node) ?? topology.node;
      assert.throws(
        () => importGraphModel({ node }, constants(weights), "m.json"),
        (error: Error) => {
          assert.ok(error instanceof FormatError, error.stack);
          assert.match(error.message, /^m\.json/);
          assert.match(error.message, message);
          return true;
        },
      );
    };
    const set = (name: string, changes: object) => (nodes: { name: string }[]) => {
      Object.assign(nodes.find((node) => node.name === name)!, changes);
    };
    refused((nodes) => {
      set("mean", { op: "TensorListStack" })(nodes);
      set("pool", { op: "Where" })(nodes);
    }, /no layer is known for the operators Where, TensorListStack$/);
    refused(set("padded", { input: ["out", "pads"] }), /operators go in a circle at "/);
    refused(set("padded", { input: ["nobody", "pads"] }), /reads "nobody", which is not there/);
    refused(set("image", { attr: {} }), /sizes that are not fixed/);
    refused(set("k1", { name: "k2" }), /two operators have one name/);
    refused(() => [], /has no list of operators/);
    refused(() => [{ name: 7 }], /has no list of operators/);
    refused(
      set("conv", { attr: { padding: { s: "%" } } }),
      /"conv": a setting must be a text in base64, got "%"/,
    );
  });

  it("whatever stands in whatever place, and whatever became of the text: refused by name, or read", async () => {
    const { topology, weights } = small();
    const known = constants(weights);
    const bytesOf = ({ nodes }: Graph) =>
      nodes
        .flatMap(({ weights }) => Object.values(weights))
        .reduce((sum, { values }) => sum + values!.length, 0);
    const base = bytesOf(importGraphModel(topology, known).graph);
    const odd = [
      null,
      5,
      "x",
      [],
      {},
      true,
      [null],
      { s: 5 },
      { i: {} },
      { list: null },
      { list: { s: [5] } },
    ];
    let count = 0;
    const everyPlace = (inside: unknown, put: (place: string, value: unknown) => unknown) => {
      for (const [place, value] of Object.entries(Object(inside))) {
        for (const wrong of odd) {
          count++;
          try {
            importGraphModel(put(place, wrong), known, "m.json");
          } catch (error) {
            assert.ok(
              error instanceof FormatError,
              `${place} of ${JSON.stringify(inside)}: ${(error as Error).stack}`,
            );
          }
        }
        if (typeof value === "object")
          everyPlace(value, (deep, wrong) =>
            put(place, Object.assign(Array.isArray(value) ? [...value] : { ...value }, { [deep]: wrong })),
          );
      }
    };
    everyPlace(topology, (place, value) => ({ ...topology, [place]: value }));
    assert.ok(count > 2000, `${count} places`);
    const { accepted, refused } = await fuzz(new TextEncoder().encode(JSON.stringify(topology)), (bytes) => {
      let damaged: unknown;
      try {
        damaged = JSON.parse(new TextDecoder().decode(bytes));
      } catch (error) {
        throw new FormatError("is not JSON", { cause: error });
      }
      // What its constants take is not in these bytes.
      return Math.max(0, bytesOf(importGraphModel(damaged, known).graph) - base);
    });
    assert.ok(accepted > 0 && refused > 0, `${refused} refused, ${accepted} read`);
  });
});
