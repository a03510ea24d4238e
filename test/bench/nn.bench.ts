import { loadDataset, type Split, subset } from "../../lib/datasets/index.ts";
import {
  availableBackends,
  type BackendName,
  lenet5,
  lenet300,
  tf,
  train,
  useBackend,
} from "../../lib/nn/index.ts";
import { replacedKernels } from "../../lib/nn/kernels/index.ts";
import type { Row } from "./index.ts";

export const title = "Training (lib/nn)";

/** An epoch of 8,000 images costs minutes in plain JavaScript, so each backend runs a part of it, and the time is scaled. */
const parts: Record<string, Record<BackendName, number>> = {
  "lenet-5": { native: 1600, wasm: 1600, cpu: 32 },
  "lenet-300-100": { native: 3200, wasm: 3200, cpu: 640 },
};

export async function bench(report: (row: Row) => void): Promise<void> {
  const { train: digits } = await loadDataset("mnist-10k");
  const backends = await availableBackends();
  for (const build of [lenet5, lenet300]) {
    const { name } = build(1);
    const seconds: Partial<Record<BackendName, number>> = {};
    for (const backend of backends)
      seconds[backend] = await epoch(build, digits, backend, parts[name][backend]);
    const peers: Record<string, number> = {
      [`plain JavaScript (${parts[name].cpu} images, scaled)`]: seconds.cpu!,
    };
    if (seconds.native !== undefined) peers["tfjs-node"] = seconds.native;
    report({
      work: `${name}, an epoch of 8,000 images on WASM (${parts[name].wasm} images, scaled)`,
      ours: seconds.wasm!,
      peers,
      unit: "s",
      ...(name === "lenet-5" ? { goal: "at most 30 s" } : {}),
    });
  }
  await kernels(report);
}

/** Seconds for 8,000 images, the median of three epochs over `count` of them after a short one to warm up. */
async function epoch(
  build: (seed: number) => tf.LayersModel,
  digits: Split,
  backend: BackendName,
  count: number,
): Promise<number> {
  await useBackend(backend);
  const model = build(1);
  await train(model, subset(digits, 32, 1), { epochs: 1 });
  const { epochs } = await train(model, subset(digits, count, 1), { epochs: backend === "cpu" ? 1 : 3 });
  model.dispose();
  return (median(epochs.map(({ seconds }) => seconds)) * 8000) / count;
}

/** The kernels that training LeNet-5 spends most on, at its second convolution and first dense layer, 64 images. */
async function kernels(report: (row: Row) => void): Promise<void> {
  await useBackend("wasm");
  const x = tf.randomNormal<tf.Rank.R4>([64, 12, 12, 20]);
  const w = tf.randomNormal<tf.Rank.R4>([5, 5, 20, 50]);
  const dy = tf.randomNormal<tf.Rank.R4>([64, 8, 8, 50]);
  const filterShape: [number, number, number, number] = [5, 5, 20, 50];
  const ours = (name: string, inputs: tf.NamedTensorMap, attrs: object) => () =>
    tf.engine().runKernel(name, inputs, attrs as never) as tf.Tensor;
  // What this project's kernels took the place of, called as TensorFlow.js calls it.
  const theirs = (name: string, inputs: tf.NamedTensorMap, attrs: object) => () =>
    tf
      .engine()
      .makeTensorFromTensorInfo(
        replacedKernels.get(name)!({ inputs, backend: tf.backend(), attrs: attrs as never }) as tf.TensorInfo,
      );
  const conv = { strides: 1, pad: "valid", dataFormat: "NHWC" };

  report({
    work: "gradient of a 5 x 5 x 20 x 50 filter, 64 images",
    ours: milliseconds(ours("Conv2DBackpropFilter", { x, dy }, { ...conv, filterShape })),
    peers: { "25 slices and products (tfjs WASM has none)": milliseconds(() => slices(x, dy)) },
    unit: "ms",
  });
  const input = [
    { dy, filter: w },
    { ...conv, inputShape: x.shape },
  ] as const;
  report({
    work: "gradient of that convolution's input",
    ours: milliseconds(ours("Conv2DBackpropInput", ...input)),
    peers: { "tfjs WASM": milliseconds(theirs("Conv2DBackpropInput", ...input)) },
    unit: "ms",
  });
  const pooled = tf.maxPool(x, 2, 2, "valid");
  const pool = [
    { dy: pooled, input: x, output: pooled },
    { filterSize: 2, strides: 2, pad: "valid" },
  ] as const;
  report({
    work: "gradient of 2 x 2 max pooling of 64 x 12 x 12 x 20",
    ours: milliseconds(ours("MaxPoolGrad", ...pool)),
    peers: { "tfjs WASM": milliseconds(theirs("MaxPoolGrad", ...pool)) },
    unit: "ms",
  });
  const a = tf.randomNormal<tf.Rank.R3>([1, 64, 500]);
  const b = tf.randomNormal<tf.Rank.R3>([1, 800, 500]);
  const product = [
    { a, b },
    { transposeA: false, transposeB: true },
  ] as const;
  report({
    work: "gradient of a dense layer's input, 800 to 500, 64 images",
    ours: milliseconds(ours("BatchMatMul", ...product)),
    peers: { "tfjs WASM": milliseconds(theirs("BatchMatMul", ...product)) },
    unit: "ms",
  });
  tf.dispose([x, w, dy, pooled, a, b]);
}

/** The filter's gradient from operations that every backend has: one slice of x and one product for each tap. */
function slices(x: tf.Tensor4D, dy: tf.Tensor4D): tf.Tensor {
  return tf.tidy(() => {
    const rows = dy.reshape([-1, 50]);
    const taps: tf.Tensor[] = [];
    for (let r = 0; r < 5; r++)
      for (let s = 0; s < 5; s++) {
        const seen = tf.slice(x, [0, r, s, 0], [64, 8, 8, 20]).reshape([-1, 20]);
        taps.push(tf.matMul(seen.transpose(), rows));
      }
    return tf.stack(taps).reshape([5, 5, 20, 50]);
  });
}

/** The median time of nine runs, after one to warm up. */
function milliseconds(run: () => tf.Tensor): number {
  const times: number[] = [];
  for (let i = 0; i < 10; i++) {
    const start = performance.now();
    const result = run();
    const time = performance.now() - start;
    result.dispose();
    if (i > 0) times.push(time);
  }
  return median(times);
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
