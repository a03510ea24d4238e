import assert from "node:assert/strict";
import { inspect } from "node:util";
import * as tf from "@tensorflow/tfjs";
import type { MimeBundle } from "../../lib/kernel/client.ts";
import { bundleOf, imageType, plainText } from "../../lib/kernel/show/show.ts";

const bundle = (value: unknown) => bundleOf(value) as MimeBundle;
const html = (value: unknown) => String(bundle(value)["text/html"]);

describe("kernel/show: values as MIME bundles", () => {
  it("has no escape codes in text/plain, whatever the value's own code says", () => {
    const coloured = { [inspect.custom]: () => "\u001b[31mred\u001b[39m" };
    assert.deepEqual(bundle(coloured), { "text/plain": "red" });
    assert.ok(!plainText("\u001b[31m").includes("\u001b"));
  });
  it("never makes more than some kilobytes of text", () => {
    const values = [
      "x".repeat(1e7),
      new Float64Array(1e6),
      Array.from({ length: 1e5 }, (_, i) => ({ i, list: new Array(100).fill(i) })),
      Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => [`key${i}`, i])),
      new Map(Array.from({ length: 1e5 }, (_, i) => [i, i])),
      Array.from({ length: 200 }, () => "y".repeat(5000)),
    ];
    for (const value of values) assert.ok(JSON.stringify(bundle(value)).length < 30_000);
    assert.match(plainText(values[3]), /key199: 199,\n {2}'… 99800 more'/);
    assert.match(plainText(new Float64Array(1000)), /900 more items/);
  });
  it("shows an array of records as a table, escaped", () => {
    const shown = html([
      { name: "<b>", n: 1 },
      { name: "b", n: 2.5 },
    ]);
    assert.match(shown, /<th>name<\/th><th>n<\/th>/);
    assert.match(shown, /<td>&lt;b&gt;<\/td><td style="text-align: right">1<\/td>/);
    assert.equal(html([{ a: 1 }, { b: 2 }]), "undefined");
    assert.equal(html([{ a: { deep: 1 } }, { a: { deep: 2 } }]), "undefined");
  });
  it("does not run getters to make a table", () => {
    let runs = 0;
    const row = () => ({
      get a() {
        return ++runs;
      },
    });
    bundle([row(), row()]);
    assert.equal(runs, 0);
  });
  it("shows a part of a long table, and says so", () => {
    const shown = html(Array.from({ length: 1000 }, (_, i) => ({ i })));
    assert.match(shown, /<p>50 of 1000 rows<\/p>/);
    assert.equal(shown.match(/<tr>/g)?.length, 51);
  });
  it("shows a Map as a table of keys and values", () => {
    const shown = html(new Map<unknown, unknown>([["k", { a: 1 }]]));
    assert.match(shown, /<th>&#39;k&#39;<\/th>|<th>'k'<\/th>/);
    assert.match(shown, /\{ a: 1 \}/);
  });
  it("shows a tensor with its shape and numbers, a large one without reading it, a disposed one as such", () => {
    const tensor = tf.tensor2d([
      [1, 2],
      [3, 4.5],
    ]);
    const { "text/plain": text, "text/html": table } = bundle(tensor);
    assert.match(String(text), /^Tensor float32 \[2, 2\]\n/);
    assert.match(String(text), /4\.5/);
    assert.match(String(table), /<td style="text-align: right">4\.5<\/td>/);
    assert.match(String(bundle(tf.scalar(3))["text/plain"]), /Tensor float32 \[\]\n\s*3/);
    const large = {
      shape: [2000, 1000],
      dtype: "float32",
      size: 2e6,
      dataSync: () => assert.fail("it was read"),
    };
    assert.equal(bundle(large)["text/plain"], "Tensor float32 [2000, 1000], 2000000 elements");
    tensor.dispose();
    assert.match(String(bundle(tensor)["text/plain"]), /disposed/);
  });
  it("shows data frames by what they are, not by their class", () => {
    class DataFrame {
      columns = ["a", "b"];
      index = [0, 1];
      values = [
        [1, "x"],
        [2, null],
      ];
      shape = [2, 2];
      toString() {
        return "as text";
      }
    }
    const shown = bundle(new DataFrame());
    assert.equal(shown["text/plain"], "as text");
    assert.match(String(shown["text/html"]), /<th>a<\/th><th>b<\/th>.*<td>x<\/td>.*<td>null<\/td>/s);
  });
  it("knows images by their first bytes", () => {
    const png = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1);
    assert.equal(imageType(png), "image/png");
    assert.equal(imageType(Uint8Array.of(0xff, 0xd8, 0xff, 0xe0)), "image/jpeg");
    assert.equal(imageType(Buffer.from("GIF89a")), "image/gif");
    assert.equal(imageType(Buffer.from("RIFF\0\0\0\0WEBPVP8 ")), "image/webp");
    assert.equal(imageType(Buffer.from("text")), undefined);
    assert.equal(bundle(png)["image/png"], Buffer.from(png).toString("base64"));
  });
  it("asks an object for its own bundle, and says what is wrong with a bad one", async () => {
    const symbol = Symbol.for("Jupyter.display");
    assert.deepEqual(bundle({ [symbol]: () => ({ "image/png": Uint8Array.of(1, 2) }) }), {
      "image/png": "AQI=",
    });
    assert.deepEqual(await bundleOf({ [symbol]: async () => ({ "text/latex": "$x$" }) }), {
      "text/latex": "$x$",
    });
    assert.throws(() => bundleOf({ [symbol]: () => "text" }), /must return a MIME bundle/);
    assert.throws(() => bundleOf({ [symbol]: () => ({}) }), /must return a MIME bundle/);
    assert.deepEqual(bundleOf({ [symbol]: () => null }), {});
    const everything = new Proxy({}, { get: () => () => "anything" });
    assert.equal(typeof bundle(everything)["text/plain"], "string");
  });
  it("shows what cannot be looked at", () => {
    const hostile = new Proxy(
      {},
      {
        get() {
          throw new Error("no");
        },
        ownKeys() {
          throw new Error("no");
        },
        getPrototypeOf() {
          throw new Error("no");
        },
      },
    );
    assert.equal(typeof bundle(hostile)["text/plain"], "string");
    const sulking = {
      [inspect.custom]() {
        throw new Error("not today");
      },
    };
    assert.match(String(bundle(sulking)["text/plain"]), /cannot be shown: not today/);
  });
});
