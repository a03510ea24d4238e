// Both sides of #platform do the same; the web's runs on Node here, and in a real browser in browser.test.ts.
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import * as node from "../../lib/platform/node.ts";
import type { Platform } from "../../lib/platform/platform.ts";
import * as web from "../../lib/platform/web.ts";
import { crc32 } from "../../lib/util/png.ts";
import { seeded } from "../../lib/util/random.ts";

// Does not compile where one of them lacks a function, or has one with another type.
const sides: [string, Platform][] = [
  ["node", node],
  ["web", web],
];

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const text = (words: string) => new TextEncoder().encode(words);

describe("platform: Node's side and the web's", () => {
  const random = seeded(1);
  const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => (i % 7 === 0 ? 256 * random() : i >> 9));

  for (const [name, side] of sides) {
    it(`${name}: SHA-256 as FIPS 180-4 has it`, () => {
      assert.equal(side.platformName, name);
      // The standard's own examples.
      assert.equal(
        hex(side.sha256(text("abc"))),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      );
      assert.equal(
        hex(side.sha256(new Uint8Array(0))),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      );
    });

    it(`${name}: deflate streams that the other side reads`, () => {
      const other = side === web ? node : web;
      const packed = side.deflateRaw(bytes);
      assert.ok(packed.length < bytes.length, `${packed.length} of ${bytes.length}`);
      assert.deepEqual(new Uint8Array(other.inflateRaw(packed, bytes.length)), bytes);
      assert.equal(side.deflateZlib(bytes)[0] & 0x0f, 8);
    });

    it(`${name}: what is damaged, truncated or too long is an error`, async () => {
      const packed = node.deflateRaw(bytes);
      assert.throws(() => side.inflateRaw(packed, bytes.length - 1));
      assert.throws(() => side.inflateRaw(packed.subarray(0, 40), bytes.length));
      assert.throws(() => side.inflateRaw(Uint8Array.of(7, 7, 7, 7), 100));
      const zipped = new Uint8Array(gzipSync(bytes));
      assert.deepEqual(await side.gunzip(zipped, bytes.length), bytes);
      await assert.rejects(side.gunzip(zipped, bytes.length - 1), { code: "ERR_BUFFER_TOO_LARGE" });
      await assert.rejects(side.gunzip(zipped.subarray(0, 500), bytes.length));
    });

    it(`${name}: ids, base64, values as text, a turn for others`, async () => {
      const ids = Array.from({ length: 100 }, side.randomId);
      for (const id of ids)
        assert.match(id, /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
      assert.equal(new Set(ids).size, ids.length);
      assert.equal(
        side.toBase64(bytes.subarray(1, 20_000)),
        Buffer.from(bytes.subarray(1, 20_000)).toString("base64"),
      );
      assert.equal(
        side.inspect({ a: [1, "b"], c: new Map([[1, Number.NaN]]) }),
        "{ a: [ 1, 'b' ], c: Map(1) { 1 => NaN } }",
      );
      assert.equal(side.stripVTControlCharacters("\u001b[31mred\u001b[39m"), "red");
      const order: string[] = [];
      queueMicrotask(() => order.push("microtask"));
      await side.turn();
      order.push("turn");
      assert.deepEqual(order, ["microtask", "turn"]);
    });
  }

  it("CRC-32 as PNG's specification has it", () => {
    assert.equal(crc32(text("123456789")).toString(16), "cbf43926");
  });

  it("node: writes whole files, into new folders, and leaves nothing else", async () => {
    const folder = await mkdtemp(join(tmpdir(), "slimlab-platform-"));
    try {
      const path = node.joinPath(folder, "a", "b.bin");
      assert.equal(await node.exists(path), false);
      await node.writeFileAtomic(path, bytes);
      assert.deepEqual(await node.readBytes(path), bytes);
      assert.deepEqual(await readdir(join(folder, "a")), ["b.bin"]);
      assert.deepEqual([await node.isFolder(folder), await node.isFolder(path)], [true, false]);
      await assert.rejects(node.readBytes(join(folder, "none")), { code: "ENOENT" });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("web: addresses, and what a page cannot do says so", async () => {
    assert.equal(web.joinPath("https://example.org/lab", "a/b.gz"), "https://example.org/lab/a/b.gz");
    assert.equal(web.joinPath("https://example.org/lab/", "a", "b.gz"), "https://example.org/lab/a/b.gz");
    await assert.rejects(
      web.writeFileAtomic("x.slim"),
      /x\.slim cannot be written: a page has no file system/,
    );
    assert.throws(() => web.cacheFolder(), /a page has no folder/);
    assert.equal(web.startHelper(), false);
  });
});
