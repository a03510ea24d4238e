// A network that people really have, as `slimlab convert --data` writes it for engines that run in integers, run by them.
import assert from "node:assert/strict";
import { roundForIntegers } from "../../lib/commands/eight-bits.ts";
import { toFloat } from "../../lib/datasets/index.ts";
import {
  decodeOnnx,
  encodeGraphAsOnnx,
  encodeGraphAsTflite,
  layersWithGrids,
  type OnnxOptions,
  readyForEngine,
  runWithEngine,
  tensorrtProblems,
} from "../../lib/formats/index.ts";
import {
  calibrateActivations,
  firstOf,
  graphOf,
  loadModel,
  modelOf,
  useBackend,
} from "../../lib/nn/index.ts";
import { mobilenetFolder, pictures } from "../nn/mobilenet.ts";

describe("MobileNetV2 in 8 bits throughout, calibrated on twelve pictures", function () {
  this.timeout(600_000);

  it("loses much less than rounded to the nearest, in all three engines' files", async function () {
    const [place, found] = [await mobilenetFolder(), await pictures()];
    if (place === undefined || found === undefined) return this.skip();
    await useBackend("wasm");
    const { held } = found;
    const input = { shape: [held.count, held.height, held.width, held.channels], values: toFloat(held) };
    const answers = async (file: Uint8Array) => (await runWithEngine(file, [input])).outputs[0].values;
    const floats = graphOf(await loadModel(place));
    const exact = await answers(encodeGraphAsOnnx(floats));
    const twelve = firstOf(found.calibration, 12);
    const model = modelOf(readyForEngine(floats));
    const { quantized, note } = await roundForIntegers(model, twelve);
    assert.match(note, /kernels rounded on 12 examples/);
    const graph = graphOf(model);
    const gridsBy = async (scheme: object): Promise<OnnxOptions> => {
      const grids = await calibrateActivations(model, twelve, { ...scheme, layers: layersWithGrids(graph) });
      return { quantized, activations: grids as OnnxOptions["activations"] };
    };
    const affine = await gridsBy({});
    const around0 = await gridsBy({ scheme: "symmetric", signed: true });
    const forTensorrt = encodeGraphAsOnnx(graph, { ...around0, target: "tensorrt" });
    assert.deepEqual(tensorrtProblems(decodeOnnx(forTensorrt)), []);
    // Twice what was measured on another machine; to the nearest it is 0.0108, 0.0142 and 0.0108.
    for (const [engine, file, most] of [
      ["onnxruntime", encodeGraphAsOnnx(graph, affine), 0.005],
      ["TensorRT's rules", forTensorrt, 0.01],
      ["LiteRT", encodeGraphAsTflite(graph, affine), 0.005],
    ] as const) {
      const got = await answers(file);
      // A softmax in 8 bits ends at 1 / 256.
      const lost = exact.map((p, i) => (p > 0 ? p * Math.log(p / Math.max(got[i], 1e-4)) : 0));
      const divergence = lost.reduce((sum, one) => sum + one, 0) / held.count;
      assert.ok(divergence < most, `${engine}: ${divergence} nats a picture`);
    }
    model.dispose();
  });
});
