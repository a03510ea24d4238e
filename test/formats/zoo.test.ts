// Files that people really have, read, and run by the engines that they are for.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openModelFile } from "../../lib/commands/files.ts";
import { toFloat } from "../../lib/datasets/index.ts";
import { compressOnnx, encodeGraphAsOnnx, runWithEngine } from "../../lib/formats/index.ts";
import type { Graph } from "../../lib/graph/index.ts";
import { firstOf, graphOf, groupsOf, tf, useBackend } from "../../lib/nn/index.ts";
import { pictures } from "../nn/mobilenet.ts";
import { inDoubles } from "./doubles.ts";
import { zooFolder } from "./zoo.ts";

/** The largest difference, of the largest number; of a hundredth where all are smaller: what an answer of 1e-8 says is no. */
function apart(found: ArrayLike<number>, wanted: ArrayLike<number>): number {
  assert.equal(found.length, wanted.length);
  let [most, largest] = [0, 0.01];
  for (let i = 0; i < wanted.length; i++) {
    most = Math.max(most, Math.abs(found[i] - wanted[i]));
    largest = Math.max(largest, Math.abs(wanted[i]));
  }
  return most / largest;
}

/** What a network answers here, by output. */
async function ours(model: tf.LayersModel, values: Float32Array): Promise<Float32Array[]> {
  const x = tf.tensor(values, [1, ...(model.inputs[0].shape.slice(1) as number[])]);
  const outputs = [model.predict(x)].flat() as tf.Tensor[];
  try {
    return await Promise.all(outputs.map((output) => output.data<"float32">()));
  } finally {
    tf.dispose([x, ...outputs]);
  }
}

/**
 * Single precision has seven digits, of which a deep network leaves as many as it likes: where answers differ from the
 * engine's by more than 1e-5, double precision says how far each is from what the file means.
 *
 * @returns what compares answers
 */
function judgeOf(graph: Graph, values: Float32Array, engine: readonly Float32Array[]) {
  let exact: Float64Array[] | undefined;
  return (name: string, found: readonly Float32Array[]): void => {
    for (const [o, output] of found.entries()) {
      if (apart(output, engine[o]) < 1e-5) continue;
      exact ??= inDoubles(graph, [values]);
      const [own, theirs] = [apart(output, exact[o]), apart(engine[o], exact[o])];
      assert.ok(own < 1e-3, `${name}: output ${o} is ${own} from double precision, the engine's ${theirs}`);
    }
  };
}

describe("formats: networks that people really have", function () {
  this.timeout(600_000);
  before(() => useBackend("wasm"));

  it("MediaPipe's come in, and answer as LiteRT does or as near to double precision as it is", async function () {
    const [folder, found] = [await zooFolder("mediapipe"), await pictures()];
    if (folder === undefined || found === undefined) return this.skip();
    // A person: on noise these networks see nothing, and answers of 1e-9 differ by as much as they are.
    const picture = toFloat(firstOf(found.held, 1));
    // With what can be pruned: none where channels of zeros are added to others, which have to stay.
    for (const [name, groups] of [
      ["selfie_segmentation", 25],
      ["selfie_segmentation_landscape", 25],
      ["face_detection_short_range", 0],
      ["face_detection_full_range_sparse", 28],
      ["face_landmark", 2],
      ["iris_landmark", 26],
      ["palm_detection_lite", 0],
      ["pose_detection", 21],
      ["pose_landmark_full", 25],
      ["hand_landmark_full", 22],
      ["hand_recrop", 6],
    ] as const) {
      const path = join(folder, `${name}.tflite`);
      const file = await openModelFile(path);
      assert.ok("model" in file, name);
      const { model } = file;
      try {
        const shape = [1, ...(model.inputs[0].shape.slice(1) as number[])];
        const values = resized(picture, found.held.height, shape[1], shape[2]);
        const { outputs } = await runWithEngine(path, [{ shape, values }]);
        const graph = graphOf(model);
        const judge = judgeOf(
          graph,
          values,
          outputs.map((output) => output.values),
        );
        judge(name, await ours(model, values));
        assert.equal(groupsOf(model).length, groups, name);
        // And out again, for another engine.
        const other = await runWithEngine(encodeGraphAsOnnx(graph), [{ shape, values }]);
        judge(
          `${name} as ONNX`,
          other.outputs.map((output) => output.values),
        );
      } finally {
        model.dispose();
      }
    }
    await assert.rejects(
      openModelFile(join(folder, "face_landmark_with_attention.tflite")),
      /Landmarks2TransformMatrix \(3 times\), .*TransformTensorBilinear \(3 times\), .*TransformLandmarks \(5 times\)/,
    );
  });

  it("rapidocr's classifier and detector come in; its recognizer is compressed in place", async function () {
    const folder = await zooFolder("rapidocr");
    if (folder === undefined) return this.skip();
    const scratch = await mkdtemp(join(tmpdir(), "slimlab-rapidocr-"));
    try {
      for (const [name, height, width] of [
        ["ch_ppocr_mobile_v2.0_cls_infer", 48, 192],
        ["ch_PP-OCRv4_det_infer", 64, 192],
      ] as const) {
        const path = join(folder, `${name}.onnx`);
        const file = await openModelFile(path, { inputShapes: { x: [3, height, width] } });
        assert.ok("model" in file, name);
        const { model } = file;
        const picture = written(height, width);
        const turned = channelsFirst(picture, height, width);
        const { outputs } = await runWithEngine(path, [{ shape: [1, 3, height, width], values: turned }]);
        const [engine] = outputs.map((output) => output.values);
        assert.ok(Math.max(...engine) > 0.5, `${name} sees the letters`);
        judgeOf(graphOf(model), picture, [engine])(name, await ours(model, picture));
        model.dispose();
      }
      // Attention moves the batch: no network of layers, but a file whose matrices can be made smaller.
      const path = join(folder, "ch_PP-OCRv4_rec_infer.onnx");
      const file = await openModelFile(path, { inputShapes: { x: [3, 48, 320] } });
      assert.ok("why" in file && /Transpose .* moves the batch/.test(file.why), path);
      const small = join(scratch, "small.onnx");
      const { changed } = await compressOnnx(path, small, { bits: 8 });
      assert.equal(changed.length, 9);
      const values = channelsFirst(written(48, 320), 48, 320);
      const [before, after] = await Promise.all(
        [path, small].map(
          async (each) => (await runWithEngine(each, [{ shape: [1, 3, 48, 320], values }])).outputs[0].values,
        ),
      );
      assert.ok(apart(after, before) < 0.1, `${apart(after, before)}`);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });
});

/** A square picture of three channels in another size, each pixel the nearest. */
function resized(picture: Float32Array, side: number, height: number, width: number): Float32Array {
  const values = new Float32Array(3 * height * width);
  for (let row = 0, at = 0; row < height; row++)
    for (let col = 0; col < width; col++)
      for (let channel = 0; channel < 3; channel++, at++) {
        const [y, x] = [Math.floor((row * side) / height), Math.floor((col * side) / width)];
        values[at] = picture[3 * (y * side + x) + channel];
      }
  return values;
}

const letters: Record<string, string[]> = {
  S: [".###", "#...", ".##.", "...#", "###."],
  L: ["#...", "#...", "#...", "#...", "####"],
  I: [".##.", ".##.", ".##.", ".##.", ".##."],
  M: ["#..#", "####", "####", "#..#", "#..#"],
};

/** A picture with letters, black on white, from -1 to 1, channels last. */
function written(height: number, width: number): Float32Array {
  const picture = new Float32Array(3 * height * width).fill(1);
  const dot = 6;
  for (let row = 0; row < height; row++)
    for (let col = 0; col < width; col++) {
      const [y, x] = [Math.floor((row - (height - 5 * dot) / 2) / dot), Math.floor((col - 16) / dot)];
      const letter = letters["SLIMSLIM"[Math.floor(x / 5)]];
      if (letter?.[y]?.[x % 5] === "#")
        picture.fill(-1, 3 * (row * width + col), 3 * (row * width + col + 1));
    }
  return picture;
}

function channelsFirst(picture: Float32Array, height: number, width: number): Float32Array {
  const places = height * width;
  return Float32Array.from(picture, (_, i) => picture[3 * (i % places) + Math.floor(i / places)]);
}
