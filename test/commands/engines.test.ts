// What `slimlab convert` writes of a network that people really have, run by the engines that it is for.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convert } from "../../lib/commands/convert.ts";
import { toFloat } from "../../lib/datasets/index.ts";
import {
  decodeOnnx,
  encodeGraphAsOnnx,
  runWithEngine,
  tensorrtProblems,
  writeSafetensors,
} from "../../lib/formats/index.ts";
import { firstOf, graphOf, loadModel, useBackend } from "../../lib/nn/index.ts";
import { readBytes } from "../../lib/platform/node.ts";
import { mobilenetFolder, type Pictures, pictures } from "../nn/mobilenet.ts";

describe("slimlab convert: MobileNetV2 in 8 bits throughout, calibrated on twelve pictures", function () {
  this.timeout(600_000);
  let place: string;
  let found: Pictures;
  let folder: string;
  let exact: Float32Array;

  /** What an engine answers about the held-out pictures. */
  async function answers(file: string | Uint8Array): Promise<Float32Array> {
    const { held } = found;
    const input = { shape: [held.count, held.height, held.width, held.channels], values: toFloat(held) };
    return (await runWithEngine(file, [input])).outputs[0].values;
  }

  before(async function () {
    const [network, all] = [await mobilenetFolder(), await pictures()];
    if (network === undefined || all === undefined) return this.skip();
    [place, found] = [network, all];
    await useBackend("wasm");
    folder = await mkdtemp(join(tmpdir(), "slimlab-engines-"));
    exact = await answers(encodeGraphAsOnnx(graphOf(await loadModel(place))));
    const { images, count } = firstOf(found.calibration, 12);
    await writeSafetensors(join(folder, "twelve.safetensors"), {
      images: { dtype: "U8", shape: [count, 224, 224, 3], values: () => images as Uint8Array },
    });
  });
  after(async () => {
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  // About twice what was measured on another machine; rounding to the nearest loses 0.011 and 0.014.
  for (const [file, target, most] of [
    ["eight.onnx", "tensorrt", 0.01],
    ["eight.tflite", undefined, 0.005],
  ] as const)
    it(`${file} for ${target ?? "LiteRT"} answers nearly as the floats do`, async () => {
      const path = join(folder, file);
      const data = join(folder, "twelve.safetensors");
      const note = await convert(place, path, { data, ...(target ? { target } : {}) });
      assert.match(note, /kernels rounded on 12 examples/);
      if (target) assert.deepEqual(tensorrtProblems(decodeOnnx(await readBytes(path))), []);
      const got = await answers(path);
      // A softmax in 8 bits ends at 1 / 256.
      const lost = exact.reduce(
        (sum, p, i) => sum + (p > 0 ? p * Math.log(p / Math.max(got[i], 1e-4)) : 0),
        0,
      );
      const divergence = lost / found.held.count;
      assert.ok(divergence < most, `${divergence} nats a picture`);
    });
});
