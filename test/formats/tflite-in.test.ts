import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  encodeGraphAsTflite,
  encodeTflite,
  FormatError,
  importTflite,
  type TfliteModel,
} from "../../lib/formats/index.ts";
import { tfliteOps } from "../../lib/formats/tflite/model.ts";
import { dependenciesOf, type Graph } from "../../lib/graph/index.ts";
import { graphOf, loadPretrained, modelOf, tf, useBackend } from "../../lib/nn/index.ts";
import { Judge, packed, unpacked } from "./judge.ts";
import { fuzzNetworks } from "./mutate.ts";
import { answers, branching, foreign, inputsFor, randomize, relative, small } from "./networks.ts";

describe("formats: TFLite in", function () {
  this.timeout(300_000);
  let folder: string;
  let judge: Judge | undefined;
  before(async () => {
    await useBackend("wasm");
    folder = await mkdtemp(join(tmpdir(), "slimlab-tflite-in-"));
    judge = Judge.start("ai_edge_litert");
  });
  after(async () => {
    judge?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** What LiteRT answers to a file. */
  async function judged(bytes: Uint8Array, values: Float32Array, shape: number[]): Promise<Float32Array> {
    const path = join(folder, `${Math.random()}.tflite`);
    await writeFile(path, bytes);
    const [output] = (await judge!.call("tflite_run", path, [packed(values, shape)], true)) as never[];
    return unpacked(output) as Float32Array;
  }

  it("networks with every layer come back as LiteRT runs them, in floats, float16 and 8-bit kernels", async function () {
    if (!judge) this.skip();
    for (const [model, weights] of [
      [await loadPretrained("lenet-5"), "float32"],
      [branching("tanh"), "float32"],
      [foreign(), "float32"],
      [branching("tanh"), "float16"],
    ] as const) {
      const bytes = encodeGraphAsTflite(graphOf(model), { weights });
      const { graph, notes } = importTflite(bytes);
      assert.deepEqual(notes, []);
      const read = modelOf(graph);
      const { values, shape } = inputsFor(model, 1);
      const difference = relative(answers(read, values, shape), await judged(bytes, values, shape));
      assert.ok(difference < 1e-5, `${model.name} in ${weights}: ${difference} of the largest output`);
    }
    // Dynamic range rounds activations in LiteRT and not here: the weights are what must be equal.
    const lenet = graphOf(await loadPretrained("lenet-5"));
    const { graph } = importTflite(encodeGraphAsTflite(lenet, { weights: "int8", keepFloatBelow: 0 }));
    const kernels = ({ nodes }: Graph) =>
      nodes.flatMap(({ weights }) => (weights.kernel ? [weights.kernel.values!] : []));
    for (const [i, kernel] of kernels(lenet).entries()) {
      const difference = relative(kernels(graph)[i], kernel);
      assert.ok(
        difference > 0 && difference < 0.5 / 127 + 1e-6,
        `kernel ${i}: ${difference} of its largest weight`,
      );
    }
  });

  it("what is squeezed and excited by factors and offsets comes as the layers that people know", () => {
    const layers = tf.layers;
    const input = tf.input({ shape: [8, 8, 2], name: "image" });
    const model = randomize(
      tf.model({
        inputs: input,
        outputs: layers
          .globalAveragePooling2d({ name: "mean" })
          .apply(
            layers
              .conv2d({ filters: 3, kernelSize: 1, name: "c2" })
              .apply(
                layers
                  .batchNormalization({ name: "norm" })
                  .apply(
                    layers
                      .activation({ activation: "swish", name: "swish" })
                      .apply(
                        layers
                          .conv2d({ filters: 4, kernelSize: 3, name: "c1", activation: "linear" })
                          .apply(input),
                      ),
                  ),
              ),
          ) as tf.SymbolicTensor,
      }),
    );
    const { graph } = importTflite(encodeGraphAsTflite(graphOf(model)));
    assert.deepEqual(
      graph.nodes.map(({ kind }) => kind),
      ["input", "conv2d", "activation", "batchNormalization", "conv2d", "globalAveragePooling2d"],
    );
    assert.equal(graph.nodes[2].attributes.activation, "swish");
    const { groups } = dependenciesOf(graph);
    assert.deepEqual(
      groups.map(({ size, followers }) => [size, followers.length]),
      [[4, 1]],
    );
  });

  it("integers become floats, and a note says so", async () => {
    const model = await loadPretrained("lenet-5");
    const grid = { kind: "fixed", scale: 1 / 255, zeroPoint: 0, low: 0, high: 255 };
    const layers = Object.fromEntries(
      ["conv1", "conv2", "fc1"].map((name) => [name, { ...grid, scale: 8 / 255 }]),
    );
    const bytes = encodeGraphAsTflite(graphOf(model), { activations: { input: grid, layers } });
    const { graph, notes } = importTflite(bytes);
    assert.match(notes.join(), /activations are integers in the file and floats in the network/);
    const { values, shape } = inputsFor(model, 1);
    const difference = relative(answers(modelOf(graph), values, shape), answers(model, values, shape));
    assert.ok(difference < 0.1, `${difference} of the largest output`);
  });

  const tensor = (name: string, shape: number[], bytes?: Uint8Array) => ({
    name,
    type: "FLOAT32" as const,
    shape,
    bytes,
  });
  const file = (changes: Partial<TfliteModel>): Uint8Array =>
    encodeTflite({
      description: "",
      name: "test",
      tensors: [tensor("x", [1, 4, 4, 2]), tensor("y", [1, 4, 4, 2])],
      operators: [{ op: "RELU", version: 1, inputs: [0], outputs: [1], options: {} }],
      inputs: [0],
      outputs: [1],
      ...changes,
    });

  it("refuses what it cannot hold, all at once, and says what is wrong", () => {
    const refused = (bytes: Uint8Array, message: RegExp) =>
      assert.throws(
        () => importTflite(bytes, "x.tflite"),
        (error: Error) => {
          assert.ok(error instanceof FormatError, error.stack);
          assert.match(error.message, /^x\.tflite/);
          assert.match(error.message, message);
          return true;
        },
      );
    const tensors = ["x", "a", "b", "y"].map((name) => tensor(name, [1, 4, 4, 2]));
    const chain = (...ops: string[]) =>
      file({
        tensors,
        operators: ops.map((op, i) => ({
          op: op as never,
          version: 1,
          inputs: [i],
          outputs: [i + 1],
          options: {},
        })),
        outputs: [ops.length],
      });
    // The writer knows those that it writes; two more for this.
    const numbers = tfliteOps as unknown as Record<string, [number, number]>;
    Object.assign(numbers, { TOPK_V2: [48, 0], GATHER: [36, 0] });
    try {
      const bytes = chain("RELU", "TOPK_V2", "GATHER");
      refused(bytes, /no layer is known for the operators TOPK_V2, GATHER$/);
    } finally {
      delete numbers.TOPK_V2;
      delete numbers.GATHER;
    }
    const one = (op: "RELU" | "STRIDED_SLICE", outputs: number[]) =>
      file({ tensors, operators: [{ op, version: 1, inputs: [0], outputs, options: {} }], outputs: [1] });
    refused(one("RELU", [1, 2]), /RELU "a": gives 1 values, got 2 names/);
    refused(one("STRIDED_SLICE", [1]), /STRIDED_SLICE "a": an input is missing/);
    refused(file({ inputs: [], outputs: [1] }), /tensor "x" is read before it is written|0 inputs/);
    refused(file({ operators: [] }), /is read before it is written/);
    // A circle: what comes out goes in.
    refused(
      file({
        tensors,
        operators: [
          { op: "ADD", version: 1, inputs: [0, 2], outputs: [1], options: { 0: { byte: 0 } } },
          { op: "RELU", version: 1, inputs: [1], outputs: [2], options: {} },
        ],
        outputs: [2],
      }),
      /"b" is read before it is written/,
    );
    refused(
      file({ tensors: [tensor("x", [1, 4, 4, 2]), tensor("y", [1, 4, 4, 3])] }),
      /where the file says \[4,4,3\]/,
    );
    refused(
      file({ tensors: [tensor("x", [1, 0, 4, 2]), tensor("y", [1, 4, 4, 2])] }),
      /input "x" has shape \[1,0,4,2\]/,
    );
    refused(
      file({ tensors: [tensor("x", [1, 2 ** 30, 2 ** 30, 2]), tensor("y", [1])] }),
      /has shape|at most/,
    );
    refused(
      file({ operators: [{ op: "ADD", version: 1, inputs: [0], outputs: [1], options: {} }] }),
      /ADD "y": must read two values/,
    );
    refused(new Uint8Array(100), /is no TFLite file/);
    refused(new Uint8Array(0), /is no TFLite file/);
  });

  it("damaged files are refused or read, and never more", async () => {
    const bytes = encodeGraphAsTflite(graphOf(small()));
    await fuzzNetworks(bytes, (damaged) => importTflite(damaged).graph);
  });
});
