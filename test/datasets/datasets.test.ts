import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import {
  catalogue,
  encodeIdx,
  loadDataset,
  loadSource,
  MissingDataError,
  type Part,
  parseIdx,
  type Source,
  type Split,
  subset,
  take,
  toFloat,
} from "../../lib/datasets/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { seeded } from "../../lib/util/random.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "slimlab-data-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("idx files", () => {
  it("reads shape and data from bytes written by hand", () => {
    const bytes = Uint8Array.from([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255]);
    const { shape, data } = parseIdx(bytes, "hand", 2);
    assert.deepEqual(shape, [2, 3]);
    assert.deepEqual([...data], [1, 2, 3, 4, 5, 255]);
    assert.deepEqual(encodeIdx({ shape, data }), bytes);
  });

  it("reads a view that does not start at its buffer's start", () => {
    const bytes = Uint8Array.from([9, 9, 0, 0, 8, 1, 0, 0, 0, 1, 7]).subarray(2);
    assert.deepEqual([...parseIdx(bytes, "view").data], [7]);
  });

  const whole = [0, 0, 8, 1, 0, 0, 0, 2, 5, 6];
  for (const [what, bytes, message] of [
    ["nothing", [], /f is not an idx file: it has 0 bytes/],
    ["a wrong magic number", [1, ...whole.slice(1)], /starts with 0x01000801/],
    ["floats", [0, 0, 13, ...whole.slice(3)], /not an idx file of unsigned bytes/],
    ["no dimension", [0, 0, 8, 0], /not an idx file of unsigned bytes/],
    ["other dimensions than asked for", [0, 0, 8, 2, ...whole.slice(4)], /must have 1 dimension, it has 2/],
    ["an end inside the header", whole.slice(0, 6), /f ends inside its header: 6 of 8 bytes/],
    ["a missing byte", whole.slice(0, 9), /f is truncated: 2 needs 10 bytes, the file has 9/],
    ["a byte too many", [...whole, 0], /f is too long: 2 needs 10 bytes, the file has 11/],
    ["a count beyond 2^31", [0, 0, 8, 1, 255, 255, 255, 255, 5], /f is truncated: 4294967295 needs/],
  ] as [string, number[], RegExp][]) {
    it(`refuses ${what}`, () => {
      assert.throws(() => parseIdx(Uint8Array.from(bytes), "f", 1), message);
    });
  }

  it("writes only data that fits its shape", () => {
    assert.throws(() => encodeIdx({ shape: [2], data: new Uint8Array(3) }), /shape 2 needs 2 bytes, got 3/);
  });
});

describe("mnist-10k and fashion-10k, as shipped", () => {
  it("are what their manifests say, and the manifests what the catalogue pins", async () => {
    for (const name of ["mnist-10k", "fashion-10k"]) {
      const folder = join(packageRoot, "datasets", name);
      const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"));
      for (const file of Object.values(catalogue[name].files)) {
        const entry = manifest.files[`${file.name}.gz`];
        const packed = await readFile(join(folder, `${file.name}.gz`));
        assert.equal(sha256(packed), entry.sha256);
        assert.equal(packed.length, entry.bytes);
        assert.deepEqual(entry.content, { sha256: file.sha256, bytes: file.bytes });
      }
    }
  });

  it("fashion-10k has 800 + 100 + 100 images of each of ten kinds of clothes", async () => {
    const data = await loadDataset("fashion-10k");
    assert.equal(data.classes[9], "Ankle boot");
    assert.deepEqual(histogram(data.train), new Array(10).fill(800));
    assert.deepEqual(histogram(data.validation), new Array(10).fill(100));
    assert.deepEqual(histogram(data.test), new Array(10).fill(100));
  });

  it("loads 8,000 + 1,000 + 1,000 digits, each digit with its share of each part", async () => {
    const { name, classes, train, validation, test } = await loadDataset("mnist-10k");
    assert.equal(name, "mnist-10k");
    assert.deepEqual(classes, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    // The package's own counts, by its README and by the length of its files.
    const total = [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978];
    const held = histogram(test).map((n, digit) => n + histogram(validation)[digit]);
    assert.deepEqual(
      histogram(train).map((n, digit) => n + held[digit]),
      total,
    );
    assert.deepEqual(
      held,
      total.map((n) => Math.round(n / 5)),
    );
    for (const [digit, n] of histogram(validation).entries())
      assert.ok(Math.abs(n - held[digit] / 2) < 1, `${n} of ${held[digit]} are for validation`);
    for (const split of [train, validation, test]) {
      assert.deepEqual([split.height, split.width, split.channels], [28, 28, 1]);
      assert.equal(split.images.length, split.count * 784);
      assert.equal(split.labels.length, split.count);
    }
    assert.equal(train.count, 8000);
    assert.equal(validation.count, 1000);
    assert.equal(test.count, 1000);
  });

  it("no image is in two parts, and the parts are the same each time", async () => {
    for (const name of ["mnist-10k", "fashion-10k"]) {
      const [data, again] = [await loadDataset(name), await loadDataset(name)];
      const seen = new Map<string, string>();
      for (const part of ["train", "validation", "test"] as const) {
        assert.deepEqual(data[part].labels, again[part].labels);
        for (let i = 0; i < data[part].count; i++) {
          const key = sha256(data[part].images.subarray(784 * i, 784 * (i + 1)));
          const other = seen.get(key) ?? part;
          assert.equal(other, part, `${name}: image ${i} of ${part} is in ${other}, too`);
          seen.set(key, part);
        }
      }
    }
  });

  it("holds digits: a nearest-mean classifier knows four in five of the test set", async () => {
    const { train, test } = await loadDataset("mnist-10k");
    const counts = histogram(train);
    const means = counts.map(() => new Float64Array(784));
    for (let i = 0; i < train.count; i++)
      for (let p = 0; p < 784; p++)
        means[train.labels[i]][p] += train.images[i * 784 + p] / counts[train.labels[i]];
    let right = 0;
    for (let i = 0; i < test.count; i++) {
      const distances = means.map((mean) => {
        let sum = 0;
        for (let p = 0; p < 784; p++) sum += (mean[p] - test.images[i * 784 + p]) ** 2;
        return sum;
      });
      if (distances.indexOf(Math.min(...distances)) === test.labels[i]) right++;
    }
    assert.ok(right / test.count > 0.8 && right / test.count < 0.95, `${right} of ${test.count}`);
  });

  it("has no example in both halves", async () => {
    const { train, test } = await loadDataset("mnist-10k");
    const key = (split: Split<Uint8Array>, i: number) =>
      sha256(split.images.subarray(i * 784, (i + 1) * 784));
    const seen = new Set(Array.from({ length: train.count }, (_, i) => key(train, i)));
    assert.equal(
      Array.from({ length: test.count }, (_, i) => key(test, i)).filter((k) => seen.has(k)).length,
      0,
    );
  });
});

function histogram(split: Split): number[] {
  const counts = new Array(10).fill(0);
  for (const label of split.labels) counts[label]++;
  return counts;
}

/** A data set of random 2 x 3 images, with its files' contents. */
function tiny(seed = 1, urls: string[] = []): { source: Source; contents: Record<string, Uint8Array> } {
  const random = seeded(seed);
  const bytes = (n: number, max: number) => Uint8Array.from({ length: n }, () => Math.floor(random() * max));
  const part = (n: number) => ({
    images: encodeIdx({ shape: [n, 2, 3], data: bytes(n * 6, 256) }),
    labels: encodeIdx({ shape: [n], data: bytes(n, 3) }),
  });
  const train = part(20);
  const test = part(5);
  const all: Record<Part, [string, Uint8Array]> = {
    trainImages: ["train-images-idx3-ubyte", train.images],
    trainLabels: ["train-labels-idx1-ubyte", train.labels],
    testImages: ["t10k-images-idx3-ubyte", test.images],
    testLabels: ["t10k-labels-idx1-ubyte", test.labels],
  };
  const files = Object.fromEntries(
    Object.entries(all).map(([key, [name, content]]) => [
      key,
      { name, sha256: sha256(content), bytes: content.length },
    ]),
  ) as Source["files"];
  return {
    source: {
      name: "tiny",
      classes: ["a", "b", "c"],
      files,
      validation: { from: "train", count: 0 },
      folders: [],
      urls,
    },
    contents: Object.fromEntries(Object.values(all)),
  };
}

async function put(where: string, contents: Record<string, Uint8Array>, packed = true): Promise<void> {
  await mkdir(where, { recursive: true });
  for (const [name, content] of Object.entries(contents))
    await writeFile(join(where, packed ? `${name}.gz` : name), packed ? gzipSync(content) : content);
}

describe("a data set in a folder", () => {
  for (const packed of [true, false]) {
    for (const below of ["", "tiny"]) {
      it(`loads, ${packed ? "packed" : "unpacked"}, ${below ? "in a folder of its name" : "straight there"}`, async () => {
        const { source, contents } = tiny();
        await put(join(folder, below), contents, packed);
        const { train, test, classes } = await loadSource(source, { folder });
        assert.deepEqual(classes, ["a", "b", "c"]);
        assert.deepEqual([train.count, train.height, train.width, test.count], [20, 2, 3, 5]);
        assert.deepEqual(train.images, contents["train-images-idx3-ubyte"].subarray(16));
        assert.deepEqual(test.labels, contents["t10k-labels-idx1-ubyte"].subarray(8));
      });
    }
  }

  it("is found by SLIMLAB_DATA", async () => {
    const { source, contents } = tiny();
    await put(join(folder, "tiny"), contents);
    const before = process.env.SLIMLAB_DATA;
    process.env.SLIMLAB_DATA = folder;
    try {
      assert.equal(
        (await loadSource(source, { download: false, cache: join(folder, "none") })).train.count,
        20,
      );
    } finally {
      if (before === undefined) delete process.env.SLIMLAB_DATA;
      else process.env.SLIMLAB_DATA = before;
    }
  });

  for (const [what, spoil, message] of [
    [
      "missing",
      (path) => rm(path),
      /t10k-labels-idx1-ubyte\.gz is missing in .*Put train-images.*SLIMLAB_DATA/,
    ],
    [
      "truncated",
      async (path) => writeFile(path, (await readFile(path)).subarray(0, -9)),
      /t10k-labels-idx1-ubyte\.gz is truncated: replace it by a whole copy, or delete it/,
    ],
    [
      "not gzip",
      (path) => writeFile(path, "<html>Please log in</html>"),
      /t10k-labels-idx1-ubyte\.gz holds 26 bytes, expected 13: replace it/,
    ],
    [
      "tampered with",
      (path) => writeFile(path, gzipSync(encodeIdx({ shape: [5], data: new Uint8Array(5) }))),
      /t10k-labels-idx1-ubyte\.gz holds something else .*SHA-256 of its content [0-9a-f]{64}, expected [0-9a-f]{64}/,
    ],
    [
      "damaged inside",
      async (path) => {
        const bytes = await readFile(path);
        bytes[12] ^= 0xff;
        await writeFile(path, bytes);
      },
      /t10k-labels-idx1-ubyte\.gz (is damaged|holds)/,
    ],
    [
      "a gzip bomb",
      (path) => writeFile(path, gzipSync(new Uint8Array(1e6))),
      /t10k-labels-idx1-ubyte\.gz holds more than the 13 bytes it should/,
    ],
  ] as [string, (path: string) => Promise<void>, RegExp][]) {
    it(`is an error that names the file when a file is ${what}`, async () => {
      const { source, contents } = tiny();
      await put(folder, contents);
      await spoil(join(folder, "t10k-labels-idx1-ubyte.gz"));
      await assert.rejects(loadSource(source, { folder }), message);
    });
  }

  it("is an error when the folder that was asked for holds nothing, even where a download could mend it", async () => {
    await assert.rejects(
      loadDataset("mnist", { folder }),
      /mnist is not in .*: train-images-idx3-ubyte\.gz, .* must lie there/,
    );
  });

  it("refuses labels without a class, and counts that do not fit", async () => {
    const { source, contents } = tiny();
    await put(folder, contents);
    await assert.rejects(
      loadSource({ ...source, classes: ["a"] }, { folder }),
      /a label of train-images.* there are 1 classes/,
    );
    source.files.testLabels = source.files.trainLabels;
    await assert.rejects(loadSource(source, { folder }), /5 images, its label file 20 labels/);
  });

  it("sets a tenth of the training images aside for decisions, where the source says nothing else", async () => {
    const { source, contents } = tiny();
    await put(folder, contents);
    const { validation: _, ...silent } = source;
    const data = await loadSource(silent, { folder });
    assert.deepEqual([data.train.count, data.validation.count, data.test.count], [18, 2, 5]);
    const fromTest = await loadSource({ ...source, validation: { from: "test", count: 2 } }, { folder });
    assert.deepEqual([fromTest.train.count, fromTest.validation.count, fromTest.test.count], [20, 2, 3]);
  });

  it("knows its names", () => {
    assert.throws(
      () => loadDataset("mnits"),
      /name must be one of "mnist-10k", "fashion-10k", "mnist", "fashion-mnist", got "mnits"/,
    );
  });

  it("reads Debian's Fashion-MNIST, 60,000 + 10,000", async function () {
    if (!existsSync("/usr/share/datasets/fashion-mnist")) this.skip();
    const { train, test, classes } = await loadDataset("fashion-mnist", { download: false });
    assert.deepEqual([train.count, test.count, classes[9]], [55000, 10000, "Ankle boot"]);
    assert.deepEqual(histogram(train), new Array(10).fill(5500));
  });
});

describe("a data set over the network", () => {
  type Answer = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;
  let server: Server;
  let base: string;
  let answer: Answer;
  let requests: { url: string; range?: string }[];
  let source: Source;
  let contents: Record<string, Uint8Array>;
  let cache: string;
  const whole: Answer = (_, response, body) => {
    response.writeHead(200, { "Content-Length": body.length });
    response.end(body);
  };
  /** Sends the first bytes of an answer, all of which arrive, and then closes the connection. */
  const breakAfter = (response: ServerResponse, bytes: Buffer) =>
    response.write(bytes, () => response.socket?.destroySoon());
  const quiet = { onProgress: () => {} };

  beforeEach(async () => {
    requests = [];
    answer = whole;
    server = createServer((request, response) => {
      requests.push({ url: request.url!, range: request.headers.range });
      const content = contents[basename(request.url!, ".gz")];
      answer(request, response, gzipSync(content));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    ({ source, contents } = tiny(2, [base]));
    cache = join(folder, "cache");
  });
  afterEach(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const cached = () => readdir(join(cache, "tiny")).catch(() => []);

  it("comes into the cache with progress, and from there the next time", async () => {
    const seen: [string, number, number][] = [];
    const options = {
      cache,
      onProgress: (p: { file: string; received: number; total: number }) =>
        seen.push([p.file, p.received, p.total]),
    };
    const first = await loadSource(source, options);
    assert.deepEqual(first.train.images, contents["train-images-idx3-ubyte"].subarray(16));
    assert.equal(requests.length, 4);
    assert.deepEqual(new Set(seen.map(([file]) => file)).size, 4);
    assert.ok(seen.every(([, received, total]) => received > 0 && received <= total));
    const second = await loadSource(source, { cache, download: false });
    assert.deepEqual(second, first);
    assert.equal(requests.length, 4);
    assert.equal((await cached()).length, 4);
  });

  it("takes up a broken connection where it broke", async () => {
    answer = (request, response, body) => {
      const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? "");
      if (range && request.headers["if-range"] === '"v1"') {
        const from = Number(range[1]);
        response.writeHead(206, { "Content-Length": body.length - from, ETag: '"v1"' });
        response.end(body.subarray(from));
      } else {
        response.writeHead(200, { "Content-Length": body.length, ETag: '"v1"' });
        breakAfter(response, body.subarray(0, 20));
      }
    };
    assert.equal((await loadSource(source, { cache, ...quiet })).train.count, 20);
    assert.equal(requests.length, 8);
    assert.equal(requests.filter(({ range }) => range === "bytes=20-").length, 4);
  });

  it("starts again where the server knows no ranges", async () => {
    let broken = false;
    answer = (request, response, body) => {
      if (broken) return whole(request, response, body);
      broken = true;
      response.writeHead(200, { "Content-Length": body.length });
      breakAfter(response, body.subarray(0, 20));
    };
    assert.equal((await loadSource(source, { cache, ...quiet })).train.count, 20);
  });

  for (const [what, bad, message, tries] of [
    [
      "is not there",
      (_, response) => response.writeHead(404).end(),
      /train-images-idx3-ubyte\.gz: the server answered 404 Not Found/,
      1,
    ],
    [
      "fails at the server",
      (_, response) => response.writeHead(503).end("later"),
      /the server answered 503/,
      4,
    ],
    [
      "is cut short each time",
      (_, response, body) => {
        response.writeHead(200, { "Content-Length": body.length });
        breakAfter(response, body.subarray(0, 10));
      },
      /tiny is not on this machine and could not be downloaded/,
      4,
    ],
    [
      "is truncated at the server",
      (_, response, body) => response.writeHead(200).end(body.subarray(0, -5)),
      /train-images-idx3-ubyte\.gz is truncated/,
      1,
    ],
    [
      "is another file",
      (_, response) => response.writeHead(200).end(gzipSync(new Uint8Array(136))),
      /train-images-idx3-ubyte\.gz holds something else .*SHA-256/,
      1,
    ],
    [
      "never ends",
      (_, response) => response.writeHead(200).end(Buffer.alloc(100_000)),
      /the answer is longer than the 4232 bytes the file can have/,
      1,
    ],
  ] as [string, Answer, RegExp, number][]) {
    it(`is an error, and nothing is kept, when the file ${what}`, async () => {
      answer = bad;
      await assert.rejects(loadSource(source, { cache, ...quiet }), (error: Error) => {
        assert.match(error.message, message);
        assert.match(error.message, /Put train-images-idx3-ubyte\.gz.*set SLIMLAB_DATA/s);
        return true;
      });
      assert.deepEqual(await cached(), []);
      assert.equal(requests.length, tries);
    });
  }

  it("tries the next address", async () => {
    answer = (request, response, body) =>
      request.url!.startsWith("/gone/") ? response.writeHead(404).end() : whole(request, response, body);
    source.urls = [`${base}gone/`, base];
    assert.equal((await loadSource(source, { cache, ...quiet })).test.count, 5);
  });

  it("says why when nobody listens", async () => {
    source.urls = ["http://127.0.0.1:1/"];
    await assert.rejects(loadSource(source, { cache, ...quiet }), /127\.0\.0\.1:1\/.*fetch failed/);
  });

  it("keeps nothing of a file when it is interrupted", async () => {
    const controller = new AbortController();
    answer = (_, response, body) => {
      response.writeHead(200, { "Content-Length": body.length });
      response.write(body.subarray(0, 10), () => controller.abort());
    };
    await assert.rejects(loadSource(source, { cache, signal: controller.signal, ...quiet }), {
      name: "AbortError",
    });
    assert.deepEqual(await cached(), []);
    assert.equal(requests.length, 1);
  });

  it("replaces a damaged file in the cache, or names it when it may not", async () => {
    await loadSource(source, { cache, ...quiet });
    await copyFile(
      join(cache, "tiny/t10k-images-idx3-ubyte.gz"),
      join(cache, "tiny/train-images-idx3-ubyte.gz"),
    );
    // Damaged is not missing: who looks elsewhere for missing data must not pass over this.
    await assert.rejects(
      loadSource(source, { cache, download: false }),
      (error: Error) =>
        !(error instanceof MissingDataError) &&
        /train-images-idx3-ubyte\.gz holds 46 bytes, expected 136/.test(error.message),
    );
    assert.equal((await loadSource(source, { cache, ...quiet })).train.count, 20);
    assert.equal(requests.length, 5);
  });

  it("is an error when it may not be downloaded", async () => {
    await assert.rejects(loadSource(source, { cache, download: false }), (error) => {
      assert.ok(error instanceof MissingDataError);
      assert.deepEqual([error.code, error.dataset], ["ERR_SLIMLAB_DATA", source.name]);
      assert.match(
        error.message,
        /^train-images-idx3-ubyte\.gz is not on this machine, and download is off\. Put/,
      );
      return true;
    });
    assert.equal(requests.length, 0);
  });
});

describe("subset, take and toFloat", () => {
  const split = (labels: number[]): Split => ({
    images: Uint8Array.from(labels, (_, i) => i),
    labels: Uint8Array.from(labels),
    count: labels.length,
    height: 1,
    width: 1,
    channels: 1,
  });
  const counts = (s: Split) => histogram(s).slice(0, 3);

  it("keeps each class's share, by largest remainder", () => {
    const all = split([...new Array(50).fill(0), ...new Array(30).fill(1), ...new Array(20).fill(2)]);
    assert.deepEqual(counts(subset(all, 10)), [5, 3, 2]);
    assert.deepEqual(counts(subset(all, 7)), [4, 2, 1]); // shares 3.5, 2.1, 1.4
    assert.deepEqual(counts(subset(all, 1)), [1, 0, 0]);
    assert.deepEqual(counts(subset(all, 100)), [50, 30, 20]);
  });

  it("takes each example once, with its own label, and depends on the seed alone", () => {
    const random = seeded(3);
    const all = split(Array.from({ length: 90 }, () => Math.floor(random() * 3)));
    const some = subset(all, 40, 5);
    assert.equal(new Set(some.images).size, 40);
    some.images.forEach((image, i) => {
      assert.equal(some.labels[i], all.labels[image]);
    });
    assert.deepEqual(subset(all, 40, 5), some);
    assert.notDeepEqual(subset(all, 40, 6).images, some.images);
  });

  it("refuses sizes that cannot be", () => {
    for (const n of [0, -1, 4, 1.5, Number.NaN])
      assert.throws(() => subset(split([0, 1, 2]), n), /n must be a whole number from 1 to 3/);
    assert.throws(() => take(split([0]), [1]), /index must be a whole number from 0 to 0, got 1/);
  });

  it("a scaling is applied channel by channel, to bytes and to floats, and floats stay floats", () => {
    const rgb = { labels: Uint8Array.of(0, 1), count: 2, height: 1, width: 1, channels: 3 };
    const scaling = { mean: [0.5, 0.25, 0], deviation: [0.5, 0.25, 2] };
    const bytes = { ...rgb, images: Uint8Array.of(0, 51, 255, 255, 0, 51), scaling };
    const wanted = [-1, -0.2, 0.5, 1, -1, 0.1];
    const near = (found: Float32Array) =>
      assert.ok(
        found.every((value, i) => Math.abs(value - wanted[i]) < 1e-6),
        `${found} instead of ${wanted}`,
      );
    near(toFloat(bytes));
    const floats = {
      ...bytes,
      images: bytes.images.reduce((all, v, i) => all.fill(v / 255, i), new Float32Array(6)),
    };
    near(toFloat(take(take(floats, [1, 0]), [1, 0])));
    assert.deepEqual([...toFloat({ ...bytes, scaling: undefined }, [1])], [1, 0, Math.fround(0.2)]);
    assert.throws(
      () => toFloat({ ...bytes, scaling: { mean: [0, 1], deviation: 1 } }),
      /scaling.mean must be one finite number, or one for each of 3 channels, got Array\(2\)/,
    );
    assert.throws(() => toFloat({ ...bytes, scaling: { mean: 0, deviation: 0 } }), /deviation must not be 0/);
  });

  it("makes floats in [0, 1]", () => {
    const floats = toFloat({ ...split([0, 0, 0]), images: Uint8Array.from([0, 51, 255]) });
    assert.ok(floats instanceof Float32Array);
    assert.deepEqual([...floats], [0, Math.fround(0.2), 1]);
  });
});
