// Packages with native addons in cells, as an engineer would install them beside a notebook.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type KernelClient, startKernel } from "../../lib/kernel/client.ts";
import { missing } from "./tools.ts";

const packages = ["sharp@0.35.5", "onnxruntime-node@1.30.0"];

describe("the kernel with native addons", function () {
  this.timeout(300_000);
  let folder: string | undefined;
  let kernel: KernelClient | undefined;

  before(async function () {
    if (!process.env.CI)
      missing(this, `${packages.join(" and ")}, 310 MB (set CI=true to have them installed)`);
    folder = await mkdtemp(join(tmpdir(), "slimlab-addons-"));
    await writeFile(join(folder, "package.json"), "{}");
    // Its own script would look for a GPU's libraries.
    const install = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", ...packages];
    const { status, stderr } = spawnSync("npm", install, { cwd: folder, encoding: "utf8" });
    assert.equal(status, 0, stderr);
    kernel = await startKernel({ cwd: folder, env: { SLIMLAB_HISTORY: "off" } });
  });
  after(async () => {
    await kernel?.shutdown();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  async function result(code: string): Promise<Record<string, unknown>> {
    const { outputs } = await kernel!.execute(code);
    const [output] = outputs;
    assert.equal(output?.output_type, "execute_result", JSON.stringify(outputs));
    return (output as { data: Record<string, unknown> }).data;
  }

  it("makes an image with sharp, typed, and shows it", async () => {
    const shown = await result(`import sharp from "sharp";
const png = await sharp({ create: { width: 64, height: 32, channels: 3, background: "teal" } }).png().toBuffer();
png`);
    assert.match(String(shown["image/png"]), /^iVBORw0KGgo/);
    const pixels =
      await result(`const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
[info.width, info.height, ...data.subarray(0, 3)]`);
    assert.equal(pixels["text/plain"], "[ 64, 32, 0, 128, 128 ]");
  });

  it("runs a model with onnxruntime-node", async () => {
    // y = a + b, written by hand in the protocol buffers of ONNX.
    const shown = await result(`import * as ort from "onnxruntime-node";
const bytes = (field: number, ...parts: (string | Uint8Array)[]) => {
  const body = parts.flatMap((part) => [...(typeof part === "string" ? new TextEncoder().encode(part) : part)]);
  return Uint8Array.from([(field << 3) | 2, body.length, ...body]);
};
const int = (field: number, value: number) => Uint8Array.from([field << 3, value]);
const vector = bytes(2, bytes(1, int(1, 1), bytes(2, bytes(1, int(1, 2)))));
const node = bytes(1, bytes(1, "a"), bytes(1, "b"), bytes(2, "y"), bytes(4, "Add"));
const ends = [bytes(11, bytes(1, "a"), vector), bytes(11, bytes(1, "b"), vector), bytes(12, bytes(1, "y"), vector)];
const model = [int(1, 8), bytes(7, node, bytes(2, "sum"), ...ends), bytes(8, int(2, 13))];
const session = await ort.InferenceSession.create(Uint8Array.from(model.flatMap((part) => [...part])));
const pair = (...values: number[]) => new ort.Tensor("float32", Float32Array.from(values), [2]);
(await session.run({ a: pair(1, 2), b: pair(10, 20) })).y.data`);
    assert.equal(shown["text/plain"], "Float32Array(2) [ 11, 22 ]");
  });
});
