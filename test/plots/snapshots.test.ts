// Every plot's picture as it is today, kept in snapshots/: a change to how figures look shows as a diff that someone reads.
// SLIMLAB_SNAPSHOTS=update writes them anew.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inflateSync } from "node:zlib";
import * as plots from "../../lib/plots/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { normal, seeded } from "../../lib/util/random.ts";

const { bars, heatmap, histogram, images, lines, scatter, slider, spectrum } = plots;
const folder = join(packageRoot, "test/plots/snapshots");

/** Numbers like weights: normal, the same on every machine. */
function weights(count: number, seed = 1): Float32Array {
  const random = seeded(seed);
  return Float32Array.from({ length: count }, () => 0.1 * normal(random));
}

const accuracy: plots.LinesOptions = {
  title: "Accuracy falls late",
  x: "sparsity",
  y: { label: "accuracy", range: [0, 1] },
};

/** One picture a line: plot function, dash, what it shows. */
const figures: Record<string, () => plots.Figure> = {
  "bars-labelled": () =>
    bars({ fc1: 0.92, fc2: 0.91, fc3: 0.74 }, { title: "Sparsity by layer", y: "sparsity" }),
  "bars-grouped-errors": () =>
    bars(
      { before: { conv1: 3, conv2: 5 }, after: { conv1: 2, conv2: 1.5 } },
      { errors: { before: { conv1: 0.3, conv2: 0.5 }, after: { conv1: 0.2, conv2: 0.2 } } },
    ),
  "bars-stacked-horizontal": () =>
    bars(
      { codes: { "fc1 of LeNet-300-100": 900, fc2: 300 }, gaps: { "fc1 of LeNet-300-100": 700, fc2: 100 } },
      { mode: "stack", horizontal: true, x: { label: "size", unit: "bytes", format: "si" } },
    ),
  "bars-logarithmic": () =>
    bars(
      { LeNet: { "slow radio": 1710, "at home": 0.0853 }, other: { "slow radio": 2760, "at home": 0.138 } },
      { x: "link", y: { label: "time", unit: "s", log: true }, title: "Dots, for a bar would begin nowhere" },
    ),
  "heatmap-mask": () => heatmap(new Uint8Array([1, 0, 0, 1, 1, 0]), { rows: 2, cols: 3, label: "kept" }),
  "heatmap-diverging-averaged": () =>
    heatmap(weights(600), { rows: 20, cols: 30, maxSide: 10, title: "Weights", x: "output", y: "input" }),
  "heatmap-numbers": () =>
    heatmap([0.25, 1, 2, 30], { rows: 2, cols: 2, rowNames: ["a", "b"], colNames: ["c", "d"] }),
  "histogram-one": () => histogram(weights(500), { bins: 12, title: "Weights of fc1", x: "w" }),
  "histogram-several-log": () =>
    histogram({ before: weights(400), after: weights(400, 2) }, { bins: 8, y: { log: true } }),
  "histogram-share-no-zeros": () => histogram([0, 0, 1, 2, 2, 3], { bins: 3, of: "share", zeros: "skip" }),
  "images-labelled": () =>
    images(
      Uint8Array.from({ length: 3 * 16 }, (_, i) => (37 * i) % 256),
      { rows: 4, cols: 4, labels: ["7", "2", "1"] },
    ),
  "lines-gap-reference": () =>
    lines(
      { magnitude: [0.98, 0.97, null, 0.6], random: [0.98, 0.5, 0.2, 0.1] },
      { ...accuracy, xs: [0, 0.5, 0.8, 0.95], references: [{ y: 0.96, label: "floor" }] },
    ),
  "lines-log-band-error": () =>
    lines(
      {
        a: { x: [1, 10, 100], y: [1, 0.01, 1e-4], error: [0.1, 0.002, 2e-5] },
        b: { x: [1, 10, 100], y: [1, 2, 3], band: { lower: [0.5, 1, 2], upper: [2, 3, 4] } },
      },
      { x: { log: true, label: "n" }, y: { log: true }, references: [{ x: 10, label: "ten" }] },
    ),
  "scatter-front": () =>
    scatter(
      {
        pruned: [
          { x: 40, y: 0.9, label: "80 %" },
          { x: 20, y: 0.8, label: "90 %" },
        ],
        quantized: [
          { x: 60, y: 0.97 },
          { x: 30, y: 0.7 },
        ],
      },
      {
        front: { x: "min", y: "max" },
        x: { label: "size", unit: "kB" },
        y: { label: "accuracy", format: "percent" },
      },
    ),
  "slider-middle": () =>
    slider(
      [1, 3, 5].map((top) => lines([0, top], { title: `to ${top}` })),
      { label: "top", values: [1, 3, 5], start: 1 },
    ),
  "spectrum-one": () => spectrum([4, 3, 2, 1].map(Math.sqrt), { energies: [0.4, 0.9], title: "fc1" }),
  "spectrum-two": () => spectrum({ fc1: [3, 2, 1, 0.5], fc2: [2, 2, 1, 0.1] }, { energies: [0.9] }),
};

/** One tag a line, so that a diff shows what changed; a heat map's pixels in place of its PNG, whose bytes are zlib's. */
function readable(svg: string): string {
  return `${svg
    .replace(/data:image\/png;base64,([^"]*)/g, (_, data) => pixels(Buffer.from(data, "base64")))
    .replaceAll("><", ">\n<")}\n`;
}

function pixels(png: Buffer): string {
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
  const start = png.indexOf("IDAT") + 4;
  const rows = inflateSync(png.subarray(start, start + png.readUInt32BE(start - 8)));
  const line = (y: number) =>
    rows.subarray(y * (1 + 4 * width) + 1, (y + 1) * (1 + 4 * width)).toString("hex");
  return `pixels:\n${Array.from({ length: height }, (_, y) => line(y)).join("\n")}\n`;
}

describe("plots: snapshots", () => {
  const update = process.env.SLIMLAB_SNAPSHOTS === "update";
  before(() => {
    if (!update) return;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
  });

  for (const [name, draw] of Object.entries(figures)) {
    it(`${name}: the picture is the one that is kept (SLIMLAB_SNAPSHOTS=update keeps the new one)`, () => {
      const svg = readable(draw().toSvg());
      const file = join(folder, `${name}.svg`);
      if (update) writeFileSync(file, svg);
      assert.equal(svg, readFileSync(file, "utf8").replaceAll("\r\n", "\n"));
    });
  }

  it("each plot function has pictures, and each picture kept is drawn", () => {
    const notPlots = ["Figure", "Table", "renderSvg", "palette", "scales", "summarize", "table"];
    const functions = Object.entries(plots).filter(
      ([name, value]) => typeof value === "function" && !notPlots.includes(name),
    );
    for (const [name] of functions) {
      const count = Object.keys(figures).filter((figure) => figure.startsWith(`${name}-`)).length;
      assert.ok(count > 0, `${name} has ${count} pictures here: add one to figures`);
    }
    assert.deepEqual(
      readdirSync(folder).sort(),
      Object.keys(figures)
        .map((name) => `${name}.svg`)
        .sort(),
    );
  });
});
