import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { roundForIntegers } from "../../lib/commands/eight-bits.ts";
import { toFloat } from "../../lib/datasets/index.ts";
import {
  encodeGraphAsOnnx,
  encodeGraphAsTflite,
  fuseActivations,
  layersWithGrids,
  type OnnxOptions,
  runWithEngine,
} from "../../lib/formats/index.ts";
import {
  type ActivationQuantizers,
  autoQuantize,
  calibrateActivations,
  cloneModel,
  clusterModel,
  compareModels,
  firstOf,
  foldBatchNorms,
  graphOf,
  loadModel,
  modelOf,
  quantizedForward,
  quantizeWeights,
  slimOf,
  type tf,
  useBackend,
} from "../../lib/nn/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { mobilenetFolder, type Pictures, pictureFolder, pictures } from "../nn/mobilenet.ts";
import { venvPython } from "../python.ts";
import type { Row } from "./index.ts";

export const title = "A real network: MobileNetV2, 224 x 224, 24 held-out pictures (lib/nn)";

export async function bench(report: (row: Row) => void): Promise<void> {
  const [place, found] = [await mobilenetFolder(), await pictures()];
  if (place === undefined || found === undefined)
    throw new Error("needs npm for MobileNetV2, and Python's scikit-image for pictures");
  await useBackend("wasm");
  const model = await loadModel(place);
  const { model: folded } = foldBatchNorms(model);
  const small = cloneModel(folded);
  const { quantized: eights } = quantizeWeights(small, { bits: 8 });
  const peers = await peersOf(model, [
    encodeGraphAsTflite(graphOf(folded)),
    encodeGraphAsTflite(graphOf(small), { quantized: eights }),
  ]);
  const from = async (other: tf.LayersModel, forward?: (x: tf.Tensor) => tf.Tensor2D) =>
    (await compareModels(model, other, found.held, { layers: [], forward })).divergence;
  const calibration = firstOf(found.calibration, 12);

  // LiteRT's own file of the same weights: what it adds is the rounding of activations while it runs. TFLite's converter
  // (TensorFlow 2.21) came to 0.00062 on these pictures: the same scales, other codes where a weight lies between two.
  report({
    work: "8-bit weights, KL from the floats",
    ours: await from(small),
    peers: {
      "TFLite dynamic range, by LiteRT": peers.litert?.kl ?? Number.NaN,
      "onnxruntime dynamic": peers.dynamic?.kl ?? Number.NaN,
    },
    unit: "nats",
    goal: "at most TFLite's",
  });
  const eight = cloneModel(folded);
  const aim = { bytes: 2_640_000 };
  await autoQuantize(eight, calibration, aim, { bits: [8], keepFloat: { below: 1024 } });
  report({
    work: "… chosen automatically (equalization, GPTQ, bias correction), 12 pictures",
    ours: await from(eight),
    peers: {},
    unit: "nats",
    goal: "at most 0.0006",
  });
  const activations = await calibrateActivations(folded, calibration);
  report({
    work: "8-bit weights and activations, KL",
    ours: await from(small, quantizedForward(small, { activations })),
    peers: { "onnxruntime static": peers.static?.kl ?? Number.NaN },
    unit: "nats",
    goal: "at most 0.005",
  });
  await filesForEngines(report, folded, found, peers.static?.kl);

  const automatic = cloneModel(folded);
  const start = performance.now();
  const { quantized } = await autoQuantize(
    automatic,
    calibration,
    { bytes: 1_630_000 },
    { keepFloat: { below: 1024 } },
  );
  const seconds = (performance.now() - start) / 1000;
  const file = await slimOf(automatic, { quantized });
  report({
    work: "about 4 bits, 12 pictures",
    ours: seconds,
    peers: {},
    unit: "s",
    goal: "under 60 s on 2 quiet cores",
  });
  report({
    work: "… its .slim file",
    ours: file.length / 1e6,
    peers: {},
    unit: "MB",
    goal: "at most 1.5 MB",
  });
  report({
    work: "… KL",
    ours: await from(automatic),
    peers: {
      "4 bits everywhere": await from(
        changed(folded, (copy) => quantizeWeights(copy, { bits: 4, range: "mse" })),
      ),
      "groups of 32": await from(
        changed(folded, (copy) =>
          quantizeWeights(copy, { bits: 4, range: "mse", group: 32, scaleType: "float16" }),
        ),
      ),
      "16 clusters a layer": await from(changed(folded, (copy) => clusterModel(copy, { clusters: 16 }))),
    },
    unit: "nats",
    goal: "at most 0.017",
  });
  const peak = join(packageRoot, "dist", "test", "nn", "mobilenet-peak.js");
  report({
    work: "memory at its peak, default batches",
    ours: Number(execFileSync(process.execPath, [peak])) / 2 ** 20,
    peers: {},
    unit: "MB",
    goal: "at most 1,024 MB",
  });
}

/** Files whose weights and activations have 8 bits, each run by its engine and compared with the floats in onnxruntime. */
async function filesForEngines(
  report: (row: Row) => void,
  folded: tf.LayersModel,
  { held, calibration }: Pictures,
  theirs = Number.NaN,
): Promise<void> {
  const input = { shape: [held.count, 224, 224, 3], values: toFloat(held) };
  const run = async (file: Uint8Array) => (await runWithEngine(file, [input])).outputs[0].values;
  const exact = await run(encodeGraphAsOnnx(graphOf(folded)));
  // A softmax in 8 bits ends at 1 / 256.
  const from = (found: Float32Array) =>
    exact.reduce((sum, p, i) => sum + (p > 0 ? p * Math.log(p / Math.max(found[i], 1e-4)) : 0), 0) /
    held.count;
  const ready = fuseActivations(graphOf(folded));
  const rounded = modelOf(ready);
  const start = performance.now();
  const { quantized } = await roundForIntegers(rounded, calibration);
  report({
    work: "… rounding 8-bit kernels for them, as slimlab convert does",
    ours: (performance.now() - start) / 1000,
    peers: {},
    unit: "s",
  });
  const ways = {
    "kernels to the nearest": { fused: modelOf(ready), codes: {} },
    "as slimlab convert writes it": { fused: rounded, codes: { quantized } },
  };
  for (const [way, { fused, codes }] of Object.entries(ways)) {
    const graph = graphOf(fused);
    const layers = layersWithGrids(graph);
    const affine = await calibrateActivations(fused, calibration, { layers });
    const around0 = { layers, scheme: "symmetric", signed: true } as const;
    const symmetric = await calibrateActivations(fused, calibration, around0);
    const options = (activations: ActivationQuantizers) => ({
      ...{ weights: "int8" as const, ...codes },
      activations: activations as OnnxOptions["activations"],
    });
    const files: [work: string, file: Uint8Array, peers: Row["peers"], goal: string][] = [
      [
        "int8 ONNX in onnxruntime",
        encodeGraphAsOnnx(graph, options(affine)),
        { "its own quantizer": theirs },
        "0.006",
      ],
      [
        "… for TensorRT",
        encodeGraphAsOnnx(graph, { ...options(symmetric), target: "tensorrt" }),
        {},
        "0.013",
      ],
      ["int8 TFLite in LiteRT", encodeGraphAsTflite(graph, options(affine)), {}, "0.0064"],
    ];
    for (const [work, file, others, goal] of files)
      report({
        work: `${work}, ${way}: KL`,
        ours: from(await run(file)),
        peers: others,
        unit: "nats",
        goal: `at most ${goal}`,
      });
    fused.dispose();
  }
}

function changed(model: tf.LayersModel, change: (copy: tf.LayersModel) => void): tf.LayersModel {
  const copy = cloneModel(model);
  change(copy);
  return copy;
}

/** What onnxruntime's own quantizers and LiteRT make of the same network; nothing where they are not installed. */
async function peersOf(
  model: tf.LayersModel,
  tflite: Uint8Array[],
): Promise<Partial<Record<"dynamic" | "static" | "litert", { kl: number }>>> {
  const folder = await mkdtemp(join(tmpdir(), "slimlab-bench-"));
  try {
    const path = join(folder, "mobilenet.onnx");
    await writeFile(path, encodeGraphAsOnnx(graphOf(model)));
    const files = tflite.map((_, i) => join(folder, `${i}.tflite`));
    for (const [i, file] of files.entries()) await writeFile(file, tflite[i]);
    const script = join(packageRoot, "test", "bench", "mobilenet_peers.py");
    const given = [script, path, (await pictureFolder())!, ...files];
    return JSON.parse(execFileSync(venvPython(), given).toString());
  } catch (error) {
    console.error(`no peers: ${(error as Error).message.split("\n").slice(0, 3).join(" ")}`);
    return {};
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
