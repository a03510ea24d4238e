import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  classesOf,
  type ExampleOptions,
  loadExamples as load,
  scalingOf,
} from "../../lib/commands/compress/examples.ts";
import { bytesFrom, shareFrom } from "../../lib/commands/compress/goal.ts";
import { findPictures, readPictures } from "../../lib/commands/compress/pictures.ts";
import type { Split } from "../../lib/datasets/index.ts";
import { decodeNpy, decodeNpz, type NpyArray, writeSafetensors } from "../../lib/formats/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { fuzz } from "../formats/mutate.ts";

/** Made by fixtures/make.py: Pillow's pixels, NumPy's files. */
interface Fixture {
  pictures: { name: string; file: string; same: string; cropped: string; stretched: string }[];
  values: number[];
  arrays: Record<string, string>;
  npz: string;
  columns: string;
  complex: string;
}

/** For a network of one input and one row of class scores. */
const loadExamples = (shape: number[], classes: number, options: ExampleOptions) =>
  load(
    {
      inputs: [{ name: "in", shape, tokens: false }],
      outputs: [{ name: "out", shape: [classes], activation: "softmax" }],
    },
    options,
  );

const bytesOf = (base64: string) => Uint8Array.from(Buffer.from(base64, "base64"));

describe("what slimlab compress looks at", () => {
  let fixture: Fixture;
  let folder: string;
  const at = (...names: string[]) => join(folder, ...names);
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-examples-"));
    fixture = JSON.parse(await readFile(join(packageRoot, "test/commands/fixtures/pictures.json"), "utf8"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it("pictures are what Pillow reads, cropped and stretched as it does", async () => {
    for (const { name, file, ...wanted } of fixture.pictures) {
      await writeFile(at(name), bytesOf(file));
      for (const [base64, height, width, fit] of [
        [wanted.same, 37, 53, "crop"],
        [wanted.cropped, 12, 12, "crop"],
        [wanted.stretched, 9, 20, "stretch"],
      ] as const) {
        const pixels = bytesOf(base64);
        const found = await readPictures([at(name)], { height, width, channels: 3 }, { fit });
        assert.equal(found.length, pixels.length);
        const most = found.reduce((worst, value, i) => Math.max(worst, Math.abs(value - pixels[i])), 0);
        const mean = found.reduce((sum, value, i) => sum + Math.abs(value - pixels[i]), 0) / found.length;
        // Decoders spread a JPEG's colours, kept at half the size, in ways of their own.
        const [allowed, usual] =
          name === "photo.jpg"
            ? [4, 1]
            : name.endsWith("jpg")
              ? [24, 4]
              : base64 === wanted.same
                ? [0, 0]
                : [1, 0.2];
        assert.ok(
          most <= allowed && mean <= usual,
          `${name}, ${fit} to ${height} x ${width}: off by ${most}, ${mean} on the mean`,
        );
      }
    }
  });

  it("folders of pictures are classes by name, by number or in their order; hidden files are left out", async () => {
    for (const path of ["set/cat/1.png", "set/dog/1.png", "set/.thumbs/x.png"]) {
      await mkdir(at(path, ".."), { recursive: true });
      await writeFile(at(path), bytesOf(fixture.pictures[0].file));
    }
    const found = await findPictures(at("set"));
    assert.deepEqual(
      found.map((picture) => picture.folder),
      ["cat", "dog"],
    );
    const numbers = (...given: Parameters<typeof classesOf>) => [...(classesOf(...given).numbers ?? [])];
    assert.deepEqual(numbers(["cat", "dog", "cat"], 2), [0, 1, 0]);
    assert.deepEqual(numbers(["7", "10"], 11), [7, 10]);
    assert.deepEqual(numbers(["cat", "dog"], 3, ["dog", "bird", "cat"]), [2, 0]);
    assert.deepEqual(numbers(["", ""], 3), []);
    assert.match(classesOf(["cat", "dog"], 3).note, /2 folders are neither named by class numbers below 3/);
    assert.match(classesOf(["", "dog"], 3).note, /in no folder of a class/);
    assert.throws(() => classesOf(["cat", "cow"], 2, ["cat", "dog"]), /lacks "cow"/);
  });

  it("arrays are what NumPy wrote, and what cannot be read is refused by name", async () => {
    for (const [type, file] of Object.entries(fixture.arrays)) {
      const { shape, values } = decodeNpy(bytesOf(file), type);
      assert.deepEqual(shape, [2, 3]);
      const wanted = type === "?" ? fixture.values.map((v) => Number(v > 50)) : fixture.values;
      assert.deepEqual([...values], wanted, type);
    }
    const arrays = decodeNpz(bytesOf(fixture.npz));
    assert.deepEqual([...arrays.get("x")!.values], fixture.values);
    assert.deepEqual([...arrays.get("y")!.values], [1, 2]);
    assert.throws(() => decodeNpy(bytesOf(fixture.columns), "a.npy"), /a\.npy has its columns first/);
    assert.throws(() => decodeNpy(bytesOf(fixture.complex), "a.npy"), /numbers of type "<c8"/);
    const whole = bytesOf(fixture.arrays["<f4"]);
    assert.throws(() => decodeNpy(whole.subarray(0, whole.length - 1)), /must have 24 bytes .* there are 23/);
    assert.throws(() => decodeNpy(whole.subarray(1)), /is no \.npy file/);
    assert.throws(() => decodeNpz(whole, "a.npz"), /a\.npz cannot be read/);
  });

  it("damaged arrays are refused or read, and never more", async () => {
    const lengthOf = ({ values }: NpyArray) => values.byteLength;
    for (const [file, read] of [
      [fixture.arrays["<f4"], (bytes: Uint8Array) => lengthOf(decodeNpy(bytes))],
      [
        fixture.npz,
        (bytes: Uint8Array) => [...decodeNpz(bytes).values()].reduce((n, a) => n + lengthOf(a), 0),
      ],
    ] as const) {
      const { accepted, refused } = await fuzz(bytesOf(file), read);
      assert.ok(accepted > 0 && refused > 0, `${refused} refused, ${accepted} read`);
    }
  });

  it("arrays are told apart by their shapes and names", async () => {
    await writeFile(at("a.npz"), bytesOf(fixture.npz));
    const { samples, labelled } = await loadExamples([3], 3, { data: at("a.npz") });
    assert.equal(labelled, true);
    assert.deepEqual([...(samples as Split).labels], [1, 2]);
    assert.ok((samples as Split).images instanceof Float32Array);
    await assert.rejects(
      loadExamples([3], 2, { data: at("a.npz") }),
      /label 1 must be .* from 0 to 1, got 2/,
    );
    await assert.rejects(
      loadExamples([4], 3, { data: at("a.npz") }),
      /one array of examples x 4, .*has x \[2, 3\], y \[2\]/,
    );
    await writeSafetensors(at("b.safetensors"), {
      images: { dtype: "U8", shape: [2, 2, 2], values: () => Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
    });
    const bytes = await loadExamples([2, 2, 1], 3, {
      data: at("b.safetensors"),
      scaling: { mean: 0, deviation: 2 },
    });
    assert.deepEqual(
      [bytes.labelled, bytes.samples.count, (bytes.samples as Split).scaling],
      [false, 2, { mean: 0, deviation: 2 }],
    );
    assert.deepEqual([...(bytes.samples as Split).images], [1, 2, 3, 4, 5, 6, 7, 8]);
    await assert.rejects(loadExamples([4], 3, { data: at("c.npy") }), /--data must be a file, .*ENOENT/);
    await assert.rejects(
      loadExamples([4], 3, { data: "c.csv" }),
      /an \.npy, \.npz or \.safetensors file or one of/,
    );
    await assert.rejects(loadExamples([4], 3, {}), /exactly one of --images FOLDER and --data FILE/);
    await writeFile(at("set/cat/bad.png"), "hello");
    await assert.rejects(
      loadExamples([4, 4, 3], 3, { images: at("set") }),
      /bad\.png cannot be read as a picture/,
    );
    await assert.rejects(loadExamples([4, 4, 3], 3, { images: at("none") }), /--images must be a folder/);
    await rm(at("set/cat/bad.png"));
    await assert.rejects(
      loadExamples([4, 4, 2], 3, { images: at("set") }),
      /1 or 3 channels, this one takes 2/,
    );
  });

  it("sizes, shares and scalings are read as people write them", () => {
    assert.deepEqual(
      ["100KB", "1.5 MB", "64KiB", "1000", "2mb"].map((text) => bytesFrom("--budget", text)),
      [100_000, 1_500_000, 65_536, 1000, 2_000_000],
    );
    for (const text of ["", "0", "x", "-1KB", "1 TB"])
      assert.throws(() => bytesFrom("--budget", text), /--budget must be a size such as 100KB/);
    assert.deepEqual(
      ["0.5%", "0.005", "0"].map((text) => shareFrom("--max-drop", text)),
      [0.005, 0.005, 0],
    );
    for (const text of ["100%", "-1", "x"])
      assert.throws(() => shareFrom("--max-drop", text), /--max-drop must be a share such as 0\.5%/);
    // (byte / 255 − mean) / deviation takes 0 and 1 to the ends.
    const { mean, deviation } = scalingOf({ range: "-1,1" }) as { mean: number; deviation: number };
    assert.deepEqual([(0 - mean) / deviation, (1 - mean) / deviation], [-1, 1]);
    assert.equal(scalingOf({ range: "0,1" }), undefined);
    assert.deepEqual(scalingOf({ mean: "0.1,0.2,0.3" }), { mean: [0.1, 0.2, 0.3], deviation: 1 });
    assert.throws(() => scalingOf({ range: "1" }), /--range must be 2 numbers/);
    assert.throws(() => scalingOf({ mean: "1,2" }), /--mean must be 1 or 3 numbers/);
    assert.throws(() => scalingOf({ deviation: "0" }), /--deviation must not be 0/);
    assert.throws(() => scalingOf({ mean: "0", range: "0,1" }), /not both/);
  });
});
