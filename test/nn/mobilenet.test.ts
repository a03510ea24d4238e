import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { toFloat } from "slimlab/datasets";
import { encodeGraphAsOnnx } from "slimlab/formats";
import {
  type ActivationQuantizers,
  calibrateActivations,
  cloneModel,
  compareModels,
  firstOf,
  foldBatchNorms,
  graphOf,
  integerNetworkOf,
  loadModel,
  predict,
  quantizedForward,
  quantizeWeights,
  type tf,
  useBackend,
} from "slimlab/nn";
import { runInteger, simulateInteger } from "slimlab/quantization";
import { packageRoot } from "../../lib/util/files.ts";
import { Judge, packed, unpacked } from "../formats/judge.ts";
import { mobilenetFolder, type Pictures, pictures } from "./mobilenet.ts";

describe("nn: MobileNetV2, a network that people really have", function () {
  // Seconds on a quiet machine; its layers are large enough for a busy one to need minutes.
  this.timeout(300_000);
  let model: tf.LayersModel;
  let folded: tf.LayersModel;
  let found: Pictures;
  let activations: ActivationQuantizers;
  let judge: Judge | undefined;
  let folder: string;

  before(async function () {
    const [place, all] = [await mobilenetFolder(), await pictures()];
    if (place === undefined || all === undefined) return this.skip();
    await useBackend("wasm");
    folder = await mkdtemp(join(tmpdir(), "slimlab-mobilenet-"));
    judge = Judge.start("onnx", "onnxruntime");
    found = all;
    model = await loadModel(place);
    folded = foldBatchNorms(model).model;
    activations = await calibrateActivations(folded, firstOf(found.calibration, 4));
  });
  after(async () => {
    judge?.stop();
    model?.dispose();
    folded?.dispose();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  it("says of pictures what onnxruntime says of the same network", async function () {
    if (!judge) return this.skip();
    const few = firstOf(found.held, 4);
    const { probabilities } = await predict(model, few);
    const path = join(folder, "mobilenet.onnx");
    await writeFile(path, encodeGraphAsOnnx(graphOf(model)));
    const input = packed(toFloat(few), [4, 224, 224, 3]);
    const [output] = (await judge.call("onnx_run", path, [input])) as never[];
    const theirs = unpacked(output) as Float32Array;
    const apart = Math.max(...probabilities.map((p, i) => Math.abs(p - theirs[i])));
    assert.ok(apart < 1e-4, `probabilities differ by ${apart}`);
  });

  it("folded, computes the same; in 8 bits, nearly", async () => {
    const few = firstOf(found.held, 4);
    const exact = await compareModels(model, folded, few, { layers: [] });
    assert.ok(exact.agreement === 1 && exact.largest < 1e-4, JSON.stringify(exact));
    const small = cloneModel(folded);
    const { bytes, kept } = quantizeWeights(small, { bits: 8 });
    assert.ok(bytes < 2.7e6, String(bytes));
    assert.ok(kept.length > 0 && kept.length < 20, kept.join());
    // With the small kernels in 8 bits, too, it is 0.0105.
    const weights = await compareModels(model, small, found.held, { layers: [] });
    assert.ok(weights.agreement === 1 && weights.divergence < 0.001, JSON.stringify(weights));
    const both = await compareModels(model, small, few, {
      layers: [],
      forward: quantizedForward(small, { activations }),
    });
    assert.ok(both.divergence < 0.02, JSON.stringify(both));
    small.dispose();
  });

  it("as a network of integers, is its simulation bit for bit", async () => {
    const few = firstOf(found.held, 1);
    const small = cloneModel(folded);
    const { quantized } = quantizeWeights(small, { bits: 8, keepFloat: { below: 0 } });
    const network = integerNetworkOf(small, quantized, activations);
    const whole = runInteger(network, toFloat(few), 1);
    const simulated = simulateInteger(network, toFloat(few), 1);
    assert.deepEqual(whole.steps, simulated.steps);
    assert.deepEqual(whole.values, simulated.values);
    const { logits } = await predict(small, few, { forward: quantizedForward(small, { activations }) });
    const range = Math.max(...logits.map(Math.abs));
    const apart = Math.max(...whole.values.map((z, i) => Math.abs(z - logits[i])));
    // A level here and there is rounded the other way, and 52 layers follow.
    assert.ok(apart < 0.06 * range, `class scores differ by ${apart}, of ${range}`);
    small.dispose();
  });

  it("needs less than a gigabyte with the batches chosen by default", async () => {
    const script = join(packageRoot, "dist", "test", "nn", "mobilenet-peak.js");
    const { stdout } = await promisify(execFile)(process.execPath, [script]);
    assert.ok(Number(stdout) > 1e8 && Number(stdout) < 2 ** 30, `${Number(stdout) / 2 ** 20} MiB`);
  });
});
