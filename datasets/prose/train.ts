// Trains the small language model that ships, two blocks that read letter by letter, on the prose beside it:
// npm run build && node dist/datasets/prose/train.js [steps]
import { join } from "node:path";
import { loadProse } from "../../lib/datasets/index.ts";
import { type GgufTensor, writeGguf } from "../../lib/formats/index.ts";
import {
  type LlamaConfig,
  letterTexts,
  llamaMetadata,
  llamaShapes,
  openSmallModel,
  perplexityOf,
  smallConfig,
} from "../../lib/lm/index.ts";
import { tf, useBackend } from "../../lib/nn/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { seeded } from "../../lib/util/random.ts";

const steps = Number(process.argv[2] ?? 1500);
const [batch, length] = [16, 64];
const { layers, width, heads, kvHeads, vocabulary, epsilon, ropeBase } = smallConfig satisfies LlamaConfig;
const size = width / heads;
const group = heads / kvHeads;

await useBackend("wasm");
const random = seeded(1);
const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
const weights = new Map<string, tf.Variable>();
for (const [name, shape] of llamaShapes(smallConfig)) {
  const count = shape.reduce((a, b) => a * b, 1);
  const spread = name.includes("output.weight") || name.includes("down") ? 0.5 : 1;
  const values =
    shape.length === 1
      ? new Float32Array(count).fill(1)
      : Float32Array.from({ length: count }, () => (normal() * spread) / Math.sqrt(shape[1]));
  weights.set(name, tf.variable(tf.tensor(values, shape), true, name));
}
const of = (layer: number, part: string): tf.Tensor => weights.get(`blk.${layer}.${part}.weight`)!;

const angles = Array.from({ length }, (_, t) =>
  Array.from({ length: size }, (_, i) => t * ropeBase ** ((-2 * Math.floor(i / 2)) / size)),
);
const cos = tf.tensor(angles.map((row) => row.map(Math.cos))).reshape([1, length, 1, size]);
const sin = tf.tensor(angles.map((row) => row.map(Math.sin))).reshape([1, length, 1, size]);
// Neighbours (a, b) become (−b, a): the half of a rotation that goes with the sine.
const swap = tf.tensor2d(
  Array.from({ length: size }, (_, i) =>
    Array.from({ length: size }, (_, j) =>
      i === j + 1 && j % 2 === 0 ? -1 : i === j - 1 && i % 2 === 0 ? 1 : 0,
    ),
  ),
);
const mask = tf.tensor2d(
  Array.from({ length: group * length }, (_, row) =>
    Array.from({ length }, (_, column) => (column > row % length ? -1e9 : 0)),
  ),
);

const norm = (x: tf.Tensor, gain: tf.Tensor) =>
  x.div(x.square().mean(-1, true).add(epsilon).sqrt()).mul(gain);
const product = (x: tf.Tensor, w: tf.Tensor) => tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D, false, true);
const rotated = (x: tf.Tensor, count: number) => {
  const turned = tf.matMul(x.reshape([-1, size]) as tf.Tensor2D, swap).reshape([batch, length, count, size]);
  return x.reshape([batch, length, count, size]).mul(cos).add(turned.mul(sin));
};

function attention(layer: number, x: tf.Tensor): tf.Tensor {
  const q = rotated(product(x, of(layer, "attn_q")), heads)
    .reshape([batch, length, kvHeads, group, size])
    .transpose([0, 2, 3, 1, 4])
    .reshape([batch * kvHeads, group * length, size]);
  const split = (values: tf.Tensor) =>
    values
      .reshape([batch, length, kvHeads, size])
      .transpose([0, 2, 1, 3])
      .reshape([batch * kvHeads, length, size]);
  const k = split(rotated(product(x, of(layer, "attn_k")), kvHeads));
  const v = split(product(x, of(layer, "attn_v")));
  const shares = tf.softmax(tf.matMul(q, k, false, true).div(Math.sqrt(size)).add(mask));
  const out = tf
    .matMul(shares as tf.Tensor3D, v as tf.Tensor3D)
    .reshape([batch, kvHeads, group, length, size])
    .transpose([0, 3, 1, 2, 4])
    .reshape([batch * length, width]);
  return product(out, of(layer, "attn_output"));
}

function loss(inputs: tf.Tensor1D, targets: tf.Tensor1D): tf.Scalar {
  const table = weights.get("token_embd.weight")!;
  let h: tf.Tensor = tf.matMul(
    tf.oneHot(inputs, vocabulary).cast("float32") as tf.Tensor2D,
    table as tf.Tensor2D,
  );
  for (let layer = 0; layer < layers; layer++) {
    h = h.add(attention(layer, norm(h, of(layer, "attn_norm"))));
    const y = norm(h, of(layer, "ffn_norm"));
    const gate = product(y, of(layer, "ffn_gate"));
    h = h.add(product(gate.mul(gate.sigmoid()).mul(product(y, of(layer, "ffn_up"))), of(layer, "ffn_down")));
  }
  const logits = product(norm(h, weights.get("output_norm.weight")!), table);
  return tf.losses.softmaxCrossEntropy(tf.oneHot(targets, vocabulary), logits) as tf.Scalar;
}

const { train, validation } = await loadProse();
const tokens = letterTexts(train, train.length)[0];
const optimizer = tf.train.adam(0.004, 0.9, 0.99);
const variables = [...weights.values()];
for (let step = 0; step < steps; step++) {
  const begins = Array.from({ length: batch }, () => Math.floor(random() * (tokens.length - length - 1)));
  const cut = (shift: number) =>
    tf.tensor1d(
      begins.flatMap((from) => [...tokens.subarray(from + shift, from + shift + length)]),
      "int32",
    );
  const rate =
    0.004 * Math.min(1, (step + 1) / 50) * (0.05 + 0.95 * (0.5 + 0.5 * Math.cos((Math.PI * step) / steps)));
  (optimizer as unknown as { learningRate: number }).learningRate = rate;
  const [inputs, targets] = [cut(0), cut(1)];
  const cost = optimizer.minimize(() => loss(inputs, targets), true, variables)!;
  if (step % 50 === 0 || step === steps - 1) console.log(step, cost.dataSync()[0].toFixed(4));
  tf.dispose([inputs, targets, cost]);
}

const path = join(packageRoot, "datasets", "prose", "small.gguf");
const tensors = new Map<string, GgufTensor>();
for (const [name, shape] of llamaShapes(smallConfig))
  tensors.set(name, {
    type: shape.length > 1 ? "F16" : "F32",
    shape,
    values: async () => (await weights.get(name)!.data()) as Float32Array,
  });
await writeGguf(path, llamaMetadata(smallConfig, "slimlab small"), tensors);
const model = await openSmallModel();
console.log("validation", await perplexityOf(model, letterTexts(validation, 128)));
