// Each room that needs no machine, bundled by esbuild for browsers and run in Chromium: what its functions return there
// is what they return on Node.
import assert from "node:assert/strict";
import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { packageRoot } from "../../lib/util/files.ts";
import { browserPath, startBrowser } from "../book/browser.ts";

// Each runs on Node and, as text, in the browser: it uses nothing but its argument, and returns what JSON can carry.
type Run<Room> = (room: Room) => unknown;

const analysis: Run<typeof import("../../lib/analysis/index.ts")> = async ({
  energyOf,
  measureLatency,
  paretoFront,
}) => {
  const latency = await measureLatency(() => {}, { runs: 5 });
  return [
    energyOf({ macs: 5e6, weightBytes: 3e5, activationBytes: 1e4 }),
    paretoFront(
      [
        [1, 2],
        [2, 3],
        [3, 1],
      ],
      ([size]) => size,
      ([, accuracy]) => accuracy,
    ),
    Number.isFinite(latency.median),
  ];
};

const pruning: Run<typeof import("../../lib/pruning/index.ts")> = ({ globalSparsity }) => {
  const w = Float32Array.from({ length: 200_000 }, (_, i) => ((i * i * 7919 + 31 * i) % 1009) / 504.5 - 1);
  const mask = globalSparsity({ w }, 0.9).w;
  return [mask.reduce((sum: number, one: number) => sum + one, 0), mask.indexOf(1), mask.lastIndexOf(1)];
};

const lowrank: Run<typeof import("../../lib/lowrank/index.ts")> = ({ svd }) => {
  const w = Float64Array.from({ length: 40 * 30 }, (_, i) => ((i * i * 7919 + 31 * i) % 1009) / 504.5 - 1);
  return [...svd(w, 40, 30).s];
};

const sparse: Run<typeof import("../../lib/sparse/index.ts")> = ({ prepare, toCsr }) => {
  const w = Float32Array.from({ length: 50 * 60 }, (_, i) =>
    i % 7 === 0 ? ((i * 7919) % 1009) / 504.5 - 1 : 0,
  );
  return [...prepare(toCsr(w, 50, 60))(Float32Array.from({ length: 60 }, (_, i) => i / 60))];
};

const quantization: Run<typeof import("../../lib/quantization/index.ts")> = ({ integerMatmul, quantize }) => {
  const w = Float32Array.from({ length: 4000 }, (_, i) => ((i * i * 7919 + 31 * i) % 1009) / 504.5 - 1);
  const { codes, scale } = quantize(w, { bits: 4, range: "mse" });
  const a = Int8Array.from({ length: 64 * 96 }, (_, i) => (i * 31) % 127);
  const product = integerMatmul(a, a, 64, 96, 64, { threads: 4 });
  return [[...codes.slice(0, 200)], [...scale], [...product]];
};

const coding: Run<typeof import("../../lib/coding/index.ts")> = ({ decodeSlim, encodeSlim, slimWeights }) => {
  const values = Float32Array.from({ length: 500 }, (_, i) => ((i * 7919) % 1009) / 504.5 - 1);
  const bytes = encodeSlim({
    meta: { by: "测试" },
    tensors: { w: { kind: "dense", shape: [500], values } } as never,
  });
  const model = decodeSlim(bytes);
  let message = "";
  try {
    decodeSlim(bytes.map((byte, i) => (i === 60 ? byte ^ 1 : byte)));
  } catch (error) {
    message = (error as Error).message;
  }
  return [model.meta, [...slimWeights(model).w], message];
};

const plots: Run<typeof import("../../lib/plots/index.ts")> = ({ heatmap, histogram }) => {
  const values = Float32Array.from({ length: 900 }, (_, i) => ((i * 7919) % 1009) / 504.5 - 1);
  // The picture inside a heat map is packed by another library there: its length may differ, what it shows may not.
  const map = heatmap(values, { rows: 30, cols: 30, title: "sines" } as never).toSvg();
  return [
    histogram(values, { title: "sines" }).toSvg(),
    map.replace(/base64,[^"]*/g, ""),
    /base64,iVBORw0KGgo/.test(map),
  ];
};

const widgets: Run<typeof import("../../lib/widgets/index.ts")> = async ({ IntSlider, Output }) => {
  const holder = globalThis as { comms?: unknown };
  const before = holder.comms;
  const sent: unknown[] = [];
  const send = (data: unknown) => sent.push(data);
  const open = (_: string, data: unknown) => {
    sent.push(data);
    return { send, close() {} };
  };
  holder.comms = { open, register() {} };
  try {
    const slider = new IntSlider({ value: 3, max: 10 });
    slider.open();
    slider.value = 7;
    const output = new Output();
    output.open();
    await output.show([1, new Map([["a", { b: 2 }]])]);
    return [slider.value, JSON.parse(JSON.stringify(sent).replaceAll(/IPY_MODEL_[\da-f]{32}/g, "id"))];
  } finally {
    holder.comms = before;
  }
};

const classroom: Run<typeof import("../../lib/classroom/index.ts")> = async ({ check, expectClose }) => {
  const error = Object.assign(new Error("look at the scale"), {
    code: "ERR_ASSERTION",
    operator: "equal",
    actual: 3,
  });
  const result = await check("3.1.1-a", {
    right: () => expectClose([1, 2], [1, 2 + 1e-9]),
    wrong: () => expectClose(3, 2),
    hinted: () => {
      throw error;
    },
  });
  return [
    result.passed,
    result.cases,
    Object.keys((result as never as Record<symbol, () => object>)[Symbol.for("Jupyter.display")]()),
  ];
};

const rooms = { analysis, pruning, lowrank, sparse, quantization, coding, plots, widgets, classroom };

describe("rooms in a browser", function () {
  this.timeout(300_000);
  let browser: Browser | undefined;
  let page: Page;
  before(async function () {
    if (!browserPath()) {
      console.log("      no Chromium: apt-get install chromium, or name one in SLIMLAB_CHROMIUM");
      this.skip();
    }
    browser = await startBrowser();
    page = await browser.newPage();
  });
  after(() => browser?.close());

  for (const [name, run] of Object.entries(rooms) as [string, Run<never>][]) {
    it(`slimlab/${name} returns there what it returns here`, async () => {
      const { outputFiles } = await build({
        stdin: { contents: `export * from "slimlab/${name}"`, resolveDir: packageRoot },
        bundle: true,
        minify: true,
        platform: "browser",
        format: "iife",
        globalName: "room",
        write: false,
        logLevel: "silent",
      });
      await page.goto("about:blank");
      await page.addScriptTag({ content: outputFiles[0].text });
      const there = await page.evaluate(`(${run})(room)`);
      const here = await run((await import(`slimlab/${name}`)) as never);
      assert.deepEqual(there, JSON.parse(JSON.stringify(here)));
    });
  }
});
