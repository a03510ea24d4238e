// Packs 10,000 images of Fashion-MNIST into four idx files: 8,000 of its training images and 2,000 of its test images,
// each class with its share. It was run once; what it wrote is committed, and lib/datasets/catalogue.ts pins it. To run it
// again: apt install dataset-fashion-mnist; npm run build && node dist/datasets/fashion-10k/make.js [FOLDER]
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { catalogue, encodeIdx, parseIdx, type Split, subset } from "../../lib/datasets/index.ts";
import { packageRoot, writeFileAtomic } from "../../lib/util/files.ts";

const seed = 20170828;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const folder = process.argv[2] ?? "/usr/share/datasets/fashion-mnist";
const source = catalogue["fashion-mnist"];

function read(part: keyof typeof source.files, dimensions: number) {
  const { name, sha256: expected } = source.files[part];
  const content = gunzipSync(readFileSync(join(folder, `${name}.gz`)));
  if (sha256(content) !== expected)
    throw new Error(`${folder}/${name}.gz does not hold Fashion-MNIST's ${part}`);
  return parseIdx(content, name, dimensions);
}

const written: Record<string, object> = {};
const perClass: Record<string, number[]> = {};
for (const [part, file, n] of [
  ["train", "train", 8000],
  ["test", "t10k", 2000],
] as const) {
  const { shape, data } = read(`${part}Images`, 3);
  const [count, height, width] = shape;
  const whole: Split<Uint8Array> = {
    images: data,
    labels: read(`${part}Labels`, 1).data,
    count,
    height,
    width,
    channels: 1,
  };
  const { images, labels } = subset(whole, n, seed);
  perClass[part] = source.classes.map((_, label) => labels.filter((one) => one === label).length);
  const contents = {
    [`${file}-images-idx3-ubyte`]: encodeIdx({ shape: [n, height, width], data: images }),
    [`${file}-labels-idx1-ubyte`]: encodeIdx({ shape: [n], data: Uint8Array.from(labels) }),
  };
  for (const [name, content] of Object.entries(contents)) {
    const packed = gzipSync(content, { level: 9 });
    await writeFileAtomic(join(packageRoot, "datasets/fashion-10k", `${name}.gz`), packed);
    written[`${name}.gz`] = {
      bytes: packed.length,
      sha256: sha256(packed),
      content: { bytes: content.length, sha256: sha256(content) },
    };
  }
}
const manifest = {
  name: "fashion-10k",
  source: {
    package: "Debian dataset-fashion-mnist 0.0~git20200523.55506a9",
    contents: Object.fromEntries(Object.values(source.files).map((one) => [one.name, one.sha256])),
    licence: "MIT",
  },
  madeBy: "datasets/fashion-10k/make.ts",
  split: { seed, train: 8000, test: 2000, trainPerClass: perClass.train, testPerClass: perClass.test },
  files: written,
};
await writeFileAtomic(
  join(packageRoot, "datasets/fashion-10k/manifest.json"),
  `${JSON.stringify(manifest, null, 2)}\n`,
);
