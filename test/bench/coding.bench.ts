import { readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, deflateRawSync, inflateRawSync } from "node:zlib";
import {
  codeLengths,
  countSymbols,
  decodeSlim,
  encodeSlim,
  huffmanDecode,
  huffmanEncode,
  rangeDecode,
  rangeEncode,
  type SlimTensor,
  slimWeights,
} from "../../lib/coding/index.ts";
import { clusterWeights, quantize } from "../../lib/quantization/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { seeded } from "../../lib/util/random.ts";
import type { Row } from "./index.ts";
import { medianTime } from "./median.ts";

export const title = "Coding (4)";

const median = (work: () => unknown, runs = 7) => medianTime(work, runs, 1);

/** The trained LeNet-300-100 that ships, by weight name. */
function trained(): Record<string, { shape: number[]; values: Float32Array }> {
  const folder = join(packageRoot, "datasets/weights/lenet-300-100");
  const { weightsManifest } = JSON.parse(readFileSync(join(folder, "model.json"), "utf8"));
  const bytes = Uint8Array.from(readFileSync(join(folder, "weights.bin")));
  const all: ReturnType<typeof trained> = {};
  let at = 0;
  for (const { name, shape } of weightsManifest[0].weights as { name: string; shape: number[] }[]) {
    const count = shape.reduce((a, b) => a * b, 1);
    all[name] = { shape, values: new Float32Array(bytes.buffer, at, count) };
    at += 4 * count;
  }
  return all;
}

/** Deep Compression's recipe for this network (table 2): shares kept by layer, 32 clusters a layer. */
function deepCompressed(weights: ReturnType<typeof trained>): Record<string, SlimTensor> {
  const kept = [0.08, 0.09, 0.26];
  let layer = 0;
  return Object.fromEntries(
    Object.entries(weights).map(([name, { shape, values }]) => {
      if (shape.length < 2) return [name, { kind: "dense", shape, values }];
      const sizes = values.map(Math.abs).sort();
      const threshold = sizes[Math.floor((1 - kept[layer++]) * sizes.length)];
      const mask = Uint8Array.from(values, (w) => (Math.abs(w) >= threshold ? 1 : 0));
      return [name, { kind: "codebook", shape, ...clusterWeights(values, { clusters: 32, mask }) }];
    }),
  );
}

export async function bench(report: (row: Row) => void): Promise<void> {
  const weights = trained();
  const tensors = deepCompressed(weights);
  const fc1 = Object.values(tensors)[0] as Extract<SlimTensor, { kind: "codebook" }>;
  const pruned = Uint8Array.from(fc1.codes, (code, i) => (fc1.mask![i] ? code + 1 : 0));
  const grid = quantize(Object.values(weights)[0].values, { bits: 8 });
  const fixed = Uint8Array.from(grid.codes, (code) => code + 127);

  for (const [what, symbols, alphabet] of [
    ["codes of fc1, 92 % pruned, 32 clusters", pruned, 33],
    ["codes of fc1, 8 bits", fixed, 255],
  ] as const) {
    const counts = countSymbols(symbols, alphabet);
    const lengths = codeLengths(counts);
    const huffman = huffmanEncode(symbols, lengths);
    const range = rangeEncode(symbols, alphabet);
    const deflated = deflateRawSync(symbols, { level: 9 });
    const entropy = counts.reduce((sum, c) => sum - (c ? c * Math.log2(c / symbols.length) : 0), 0) / 8 / 1e6;
    report({
      work: `${what}: range coded`,
      ours: range.length / 1e6,
      peers: {
        "entropy, the bound": entropy,
        "our Huffman": huffman.length / 1e6,
        "zlib deflate 9": deflated.length / 1e6,
        "brotli 11":
          brotliCompressSync(symbols, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length / 1e6,
      },
      unit: "MB",
      goal: "≤ 1.01 × entropy",
    });
    const peers = {
      "zlib deflate 9": median(() => deflateRawSync(symbols, { level: 9 })),
      "zlib deflate 6": median(() => deflateRawSync(symbols, { level: 6 })),
    };
    const inflate = { "zlib inflate": median(() => inflateRawSync(deflated)) };
    report({
      work: `${what}: Huffman encode`,
      ours: median(() => huffmanEncode(symbols, lengths)),
      peers,
      unit: "ms",
    });
    report({
      work: `${what}: Huffman decode`,
      ours: median(() => huffmanDecode(huffman, lengths, symbols.length)),
      peers: inflate,
      unit: "ms",
    });
    report({
      work: `${what}: range encode`,
      ours: median(() => rangeEncode(symbols, alphabet)),
      peers,
      unit: "ms",
    });
    report({
      work: `${what}: range decode`,
      ours: median(() => rangeDecode(range, alphabet, symbols.length)),
      peers: inflate,
      unit: "ms",
    });
  }

  // The whole network: what a person would send.
  const floats = Object.values(weights).map(({ values }) =>
    Buffer.from(values.buffer, values.byteOffset, values.byteLength),
  );
  const restored = Object.values(slimWeights({ tensors })).map((values) => Buffer.from(values.buffer));
  const deflated = deflateRawSync(Buffer.concat(restored), { level: 9 });
  const slim = encodeSlim({ tensors });
  report({
    work: "LeNet-300-100, pruned and clustered: .slim file",
    ours: slim.length / 1e6,
    peers: {
      float32: Buffer.concat(floats).length / 1e6,
      "the same weights as float32, deflate 9": deflated.length / 1e6,
      ".slim with Huffman and gaps": encodeSlim({ tensors }, { coding: "huffman" }).length / 1e6,
      ".slim packed": encodeSlim({ tensors }, { coding: "packed" }).length / 1e6,
    },
    unit: "MB",
  });
  report({
    work: "LeNet-300-100: write .slim",
    ours: median(() => encodeSlim({ tensors }), 5),
    peers: {},
    unit: "ms",
  });
  report({
    work: "LeNet-300-100: read .slim to floats",
    ours: median(() => slimWeights(decodeSlim(slim)), 5),
    peers: { "inflate the same weights": median(() => inflateRawSync(deflated), 5) },
    unit: "ms",
  });

  // A network of 22 million weights in 8 bits, as large ones come.
  const many = new Float32Array(22_000_000);
  const random = seeded(1);
  for (let i = 0; i < many.length; i++) many[i] = random() + random() + random() - 1.5;
  const large: Record<string, SlimTensor> = {
    kernel: { kind: "quantized", quantized: quantize(many, { bits: 8, shape: [4400, 5000] }) },
  };
  const file = encodeSlim({ tensors: large });
  report({
    work: "22 M weights of 8 bits: write .slim",
    ours: median(() => encodeSlim({ tensors: large }), 3) / 1000,
    peers: {},
    unit: "s",
    goal: "≤ 1 s",
  });
  report({
    work: "22 M weights of 8 bits: read .slim",
    ours: median(() => decodeSlim(file), 3) / 1000,
    peers: {},
    unit: "s",
    goal: "≤ 1 s",
  });
}
