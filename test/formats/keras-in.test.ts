import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unzipSync, zipSync } from "fflate";
import { convert } from "../../lib/commands/convert.ts";
import { inspect } from "../../lib/commands/inspect.ts";
import { FormatError, importKeras } from "../../lib/formats/index.ts";
import {
  loadModel,
  loadSlim,
  modelOf,
  quantizeWeights,
  saveModel,
  saveSlim,
  tf,
  useBackend,
  weightsOf,
} from "../../lib/nn/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { fuzz } from "./mutate.ts";
import { relative } from "./networks.ts";

const fixtures = join(packageRoot, "test", "formats", "fixtures", "keras");
const bytesOf = async (name: string) => new Uint8Array(await readFile(join(fixtures, name)));

interface Value {
  shape: number[];
  values: number[];
}
type Answers = Record<string, { inputs: Value[]; outputs: Value[] }>;

async function answersOf(file: string): Promise<Answers> {
  return JSON.parse(await readFile(join(fixtures, file), "utf8")).models;
}

function checkAnswers(model: tf.LayersModel, { inputs, outputs }: Answers[string], name: string): void {
  const given = inputs.map(({ values, shape }) => tf.tensor(values, shape, "float32"));
  const found = [model.predict(given.length === 1 ? given[0] : given)].flat() as tf.Tensor[];
  assert.equal(found.length, outputs.length);
  for (const [i, { shape, values }] of outputs.entries()) {
    assert.deepEqual(found[i].shape, shape);
    const difference = relative(found[i].dataSync() as Float32Array, Float32Array.from(values));
    assert.ok(difference < 1e-5, `${name}, output ${i}: ${difference} of the largest`);
  }
}

/** An archive with another config.json. */
async function changed(name: string, change: (text: string) => string): Promise<Uint8Array> {
  const parts = unzipSync(await bytesOf(name));
  const text = change(new TextDecoder().decode(parts["config.json"]));
  return zipSync({ ...parts, "config.json": new TextEncoder().encode(text) });
}

const refusal = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof FormatError, String(error));
  assert.match(error.message, pattern);
  assert.ok(error.message.length < 1200, `${error.message.length} characters`);
  return true;
};

// The files and answers are Keras's: fixtures/keras/make.py.
describe("formats: Keras in", function () {
  this.timeout(60_000);
  before(() => useBackend("cpu"));

  for (const [answers, files] of [
    [
      "answers.json",
      ["sequential", "functional", "nested", "recurrent", "standardized", "gated"].flatMap((name) => [
        `${name}.keras`,
        `${name}.h5`,
      ]),
    ],
    ["answers2.json", ["sequential2.h5", "functional2.keras", "nested2.keras"]],
  ] as const)
    it(`networks give Keras's own answers (${files.length} files of ${answers})`, async () => {
      const known = await answersOf(answers);
      for (const file of files) {
        const { graph, notes } = await importKeras(await bytesOf(file), { file });
        checkAnswers(modelOf(graph), known[file.replace(/2?\..*$/, "")], file);
        assert.deepEqual(
          notes,
          file.startsWith("sequential") ? ["RandomFlip is left out: it works in training alone"] : [],
        );
      }
    });

  it("a model that is called twice keeps one set of weights", async () => {
    const { graph } = await importKeras(await bytesOf("nested.keras"));
    assert.equal(graph.nodes.filter(({ shares }) => shares !== undefined).length, 3);
    const model = modelOf(graph);
    // dense, norm, dense; dense, out: 42 + 24 + 42 + 42 + 14.
    assert.equal(model.countParams(), 164);
  });

  it("a GRU whose reset gate acts behind the product is copied, saved, trained and quantized like others", async () => {
    const { graph } = await importKeras(await bytesOf("gated.keras"));
    const model = modelOf(graph);
    const known = (await answersOf("answers.json")).gated;
    const folder = await mkdtemp(join(tmpdir(), "slimlab-gru-"));
    try {
      await saveSlim(join(folder, "a.slim"), model);
      checkAnswers((await loadSlim(join(folder, "a.slim"))).model, known, "from .slim");
      await saveModel(model, join(folder, "model"));
      checkAnswers(await loadModel(join(folder, "model")), known, "from model.json");
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
    const { quantized } = quantizeWeights(model, { bits: 8, keepFloat: { below: 0 } });
    assert.deepEqual(Object.keys(quantized).sort(), Object.keys(weightsOf(model)).sort());
    // Its gradient against differences.
    const [{ values, shape }] = known.inputs;
    const loss = () =>
      tf.tidy(() => (model.predict(tf.tensor(values, shape)) as tf.Tensor).square().sum() as tf.Scalar);
    const { grads } = tf.variableGrads(() =>
      (model.apply(tf.tensor(values, shape)) as tf.Tensor).square().sum().asScalar(),
    );
    for (const weight of model.weights) {
      const variable = (weight as unknown as { val: tf.Variable }).val;
      const before = Float32Array.from(variable.dataSync());
      const at = before.length >> 1;
      const moved = [-1e-2, 1e-2].map((step) => {
        variable.assign(
          tf.tensor(
            before.map((value, i) => (i === at ? value + step : value)),
            variable.shape,
          ),
        );
        return loss().dataSync()[0];
      });
      variable.assign(tf.tensor(before, variable.shape));
      const slope = (moved[1] - moved[0]) / 2e-2;
      const found = grads[variable.name].dataSync()[at];
      assert.ok(
        Math.abs(found - slope) < 2e-2 * Math.max(1, Math.abs(slope)),
        `${weight.name}: ${found}, ${slope}`,
      );
    }
  });

  it("the commands take them", async () => {
    const folder = await mkdtemp(join(tmpdir(), "slimlab-keras-"));
    try {
      const report = await inspect(join(fixtures, "sequential.h5"));
      assert.match(report.notes.join(), /RandomFlip is left out/);
      assert.ok(report.rows.some(({ layer }) => layer === "separable_conv2d"));
      const slim = join(folder, "a.slim");
      await convert(join(fixtures, "functional.keras"), slim, {});
      const { model } = await loadSlim(slim);
      checkAnswers(model, (await answersOf("answers.json")).functional, "functional.slim");
      // Told by its first bytes under any name.
      await writeFile(join(folder, "model.weights"), await bytesOf("nested.h5"));
      assert.equal((await inspect(join(folder, "model.weights"))).parameters, 164);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("what no layer is known for is named, all at once", async () => {
    await assert.rejects(
      importKeras(await bytesOf("refused.keras"), { file: "refused.keras" }),
      refusal(/^refused.keras: cannot be made .*MultiHeadAttention, UnitNormalization$/),
    );
    const reset = (text: string) => text.replace('"reset_after": false', '"reset_after": true');
    await assert.rejects(
      importKeras(await changed("recurrent.keras", reset)),
      refusal(/GRU "gru": its bias must be of shape \[2,15\], but in the file it is \[15\]/),
    );
    const first = (text: string) => text.replaceAll('"channels_last"', '"channels_first"');
    await assert.rejects(
      importKeras(await changed("sequential.keras", first)),
      refusal(/data_format "channels_first" is not supported/),
    );
    const own = (text: string) => text.replace('"class_name": "Sequential"', '"class_name": "MyNet"');
    await assert.rejects(
      importKeras(await changed("sequential.keras", own)),
      refusal(/"MyNet" is a class of one's own/),
    );
  });

  it("sizes that are open are asked for, and taken", async () => {
    const bytes = await bytesOf("open.keras");
    await assert.rejects(
      importKeras(bytes),
      refusal(/sizes of "image" are open, \[null,null,1\].*--input image=32x32x1/),
    );
    await assert.rejects(
      importKeras(await bytesOf("open.keras"), { inputShapes: { image: [9, 8, 1], mask: [9, 8, 1] } }),
      refusal(/sizes are given for input "mask"; there is "image"/),
    );
    const { graph } = await importKeras(bytes, { inputShapes: { image: [9, 8, 1] } });
    assert.deepEqual(modelOf(graph).inputs[0].shape, [null, 9, 8, 1]);
    await assert.rejects(importKeras(bytes, { inputShapes: { image: [9, 8, 3] } }), refusal(/sizes 9x8x3/));
  });

  it("weights alone, other shapes, circles, archives that lie, and what is no file of Keras's", async () => {
    await assert.rejects(
      importKeras(await bytesOf("only.weights.h5")),
      refusal(/holds weights and no network/),
    );
    const wide = (text: string) => text.replace('"units": 6', '"units": 4194304');
    await assert.rejects(
      importKeras(await changed("sequential.keras", wide)),
      refusal(/its kernel must be of shape \[80,4194304\], but in the file it is \[80,6\]/),
    );
    const circle = (text: string) =>
      text.replace('["image", 0, 0]', '["base", 1, 0]').replace('["x", 0, 0]', '["base", 1, 0]');
    await assert.rejects(
      importKeras(await changed("nested.keras", circle)),
      refusal(/in a circle|is not there/),
    );
    const nobody = (text: string) => text.replace('["x", 0, 0]', '["nobody", 0, 0]');
    await assert.rejects(
      importKeras(await changed("nested.keras", nobody)),
      refusal(/"nobody:0:0", which is not there/),
    );
    const bomb = zipSync({ "config.json": new Uint8Array(1e7), "model.weights.h5": new Uint8Array(1e7) });
    await assert.rejects(importKeras(bomb), refusal(/more than ten times its own size/));
    await assert.rejects(importKeras(zipSync({ "a.txt": new Uint8Array(3) })), refusal(/has no config.json/));
    await assert.rejects(importKeras(new Uint8Array(0)), refusal(/is no .keras archive/));
    const deep = (text: string) =>
      `${'{"class_name":"Sequential","config":{"layers":['.repeat(30)}${text}${"]}}".repeat(30)}`;
    await assert.rejects(
      importKeras(await changed("sequential.keras", deep)),
      refusal(/models stand in models/),
    );
  });

  it("weights that are no numbers are refused by name", async () => {
    const bytes = await bytesOf("nested.h5");
    const { graph } = await importKeras(bytes);
    const kernel = graph.nodes.find(({ name }) => name === "out")!.weights.kernel.values!;
    const needle = Buffer.from(kernel.buffer, kernel.byteOffset, 8);
    const copy = Buffer.from(bytes);
    const at = copy.indexOf(needle);
    assert.ok(at > 0, "the kernel's bytes are in the file");
    copy.writeFloatLE(Number.NaN, at + 4);
    await assert.rejects(
      importKeras(new Uint8Array(copy)),
      refusal(/Dense "out": its kernel must be finite, got NaN at index 1/),
    );
  });

  it("what would keep the library busy for ever, or take gigabytes, is refused by name", async () => {
    const bytes = Buffer.from(await bytesOf("nested.h5"));
    const heap = bytes.indexOf("GCOL");
    const refusedHeap = (change: (copy: Buffer) => void, problem: RegExp) => {
      const copy = Buffer.from(bytes);
      change(copy);
      return assert.rejects(importKeras(new Uint8Array(copy)), refusal(problem));
    };
    const object = (copy: Buffer, index: number, size: bigint) => {
      copy.writeUInt16LE(index, heap + 16);
      copy.writeBigUInt64LE(size, heap + 24);
    };
    const wrong = new RegExp(`the heap at byte ${heap} has an object of \\d+ bytes at ${heap + 16}`);
    for (const size of [0n, 8n, 2n ** 64n - 16n]) await refusedHeap((copy) => object(copy, 0, size), wrong); // it went on at the same byte, or before it
    await refusedHeap((copy) => object(copy, 1, 2n ** 63n), wrong);
    await refusedHeap((copy) => copy.writeUInt8(4, 14), /lengths of 4 bytes/);
    // One text of 60,000 characters, and a thousand entries that are all this one.
    const h5: typeof import("h5wasm") = await import("h5wasm");
    const { FS } = await h5.ready;
    const file = new h5.File("/many.h5", "w", { libver: ["earliest", "latest"] });
    file.create_attribute("model_config", "{}");
    const text = "x".repeat(60_000);
    file.create_group("model_weights").create_attribute("layer_names", [text, ...Array(999).fill("")]);
    file.close();
    const many = Buffer.from(FS.readFile("/many.h5"));
    const entry = many.indexOf(Buffer.from(Uint32Array.of(text.length).buffer));
    for (let i = 1; i < 1000; i++) many.copy(many, entry + 16 * i, entry, entry + 16);
    await assert.rejects(importKeras(new Uint8Array(many)), refusal(/takes too much memory/));
    await importKeras(bytes);
  });

  it("damaged files are refused or read; good ones are read afterwards", async () => {
    for (const name of ["nested.h5", "standardized.keras"]) {
      const bytes = await bytesOf(name);
      const { accepted, refused } = await fuzz(
        bytes,
        async (damaged) => {
          const { graph } = await importKeras(damaged);
          return graph.nodes
            .flatMap(({ weights }) => Object.values(weights))
            .reduce((sum, { values }) => sum + values!.byteLength, 0);
        },
        { count: Number(process.env.SLIMLAB_FUZZ ?? 80) },
      );
      assert.ok(refused > 0.2 * (accepted + refused), `${refused} refused, ${accepted} read`);
      await importKeras(bytes);
    }
  });
});
