import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inflateSync } from "node:zlib";
import {
  bars,
  type Figure,
  heatmap,
  histogram,
  images,
  lines,
  scatter,
  slider,
  spectrum,
  summarize,
} from "../../lib/plots/index.ts";

const bundleOf = (figure: Figure): Record<string, never> =>
  (figure as never as { [key: symbol]: () => Record<string, never> })[Symbol.for("Jupyter.display")]();

/** Throws unless every tag of the SVG is closed in order: what an XML parser would demand. */
function checkWellFormed(svg: string): void {
  const open: string[] = [];
  assert.doesNotMatch(svg, /NaN|undefined|Infinity/);
  assert.doesNotMatch(svg.replace(/&(amp|lt|gt|quot);/g, ""), /&/);
  for (const [, close, name, self] of svg.matchAll(/<(\/?)([a-z]+)(?:\s[^<>]*?)?(\/?)>/g)) {
    if (self) continue;
    if (close) assert.equal(open.pop(), name);
    else open.push(name);
  }
  assert.deepEqual(open, []);
}

describe("plots", () => {
  it("histogram: counts every value once, the last bin holds both its ends, zeros skipped on request", () => {
    const figure = histogram(new Float32Array([0, 0, 0.5, 1, 1, 2]), { bins: 4 });
    // Bins of width 0.5 from 0: [0, 0.5), [0.5, 1), [1, 1.5), [1.5, 2].
    assert.deepEqual(figure.data[0].y, [2, 1, 2, 1]);
    assert.deepEqual([figure.data[0].x0, figure.data[0].dx], [0.25, 0.5]);
    assert.deepEqual(histogram([0, 0, 0.5, 1, 1, 2], { bins: 4, zeros: "skip" }).data[0].y, [0, 1, 2, 1]);
    assert.deepEqual(histogram([0, 0, 1, 1], { bins: 2, of: "share" }).data[0].y, [0.5, 0.5]);
    assert.deepEqual(histogram([3, 3], { bins: 5 }).data[0].y, [0, 0, 2, 0, 0], "all equal: one bin");
  });

  it("histogram: several series share their bins, and no raw value is embedded", () => {
    const figure = histogram({ before: new Float32Array(50_000).fill(0.25), after: [0, 1] }, { bins: 10 });
    assert.deepEqual(
      figure.data.map((trace) => trace.x0),
      [-0.05, -0.05], // outlines, with an empty bin before and after
    );
    assert.deepEqual(figure.data[0].y, [0, 0, 0, 50_000, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert.deepEqual(figure.data[1].y, [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    const logarithmic = histogram({ before: [1, 2], after: [0, 1] }, { y: { log: true } });
    assert.deepEqual(
      logarithmic.data.map((trace) => trace.type),
      ["bar", "bar"],
    );
    assert.ok(JSON.stringify(figure).length < 3000);
  });

  it("heatmap: averages blocks of a matrix that is too large, uneven edges included", () => {
    const mask = new Uint8Array(20 * 10);
    mask.fill(1, 0, 10); // the first row is kept
    const figure = heatmap(mask, { rows: 20, cols: 10, maxSide: 8 });
    // Blocks of 3 x 2: seven rows of blocks, the last of 2; the first block row is one third kept.
    assert.equal(figure.data[0].z!.length, 7);
    assert.equal(figure.data[0].z![0].length, 5);
    assert.ok(Math.abs(figure.data[0].z![0][0]! - 1 / 3) < 0.005);
    assert.equal(figure.data[0].z![6][4], 0);
    assert.deepEqual([figure.data[0].y0, figure.data[0].dy], [1, 3]);
    assert.match(figure.alt, /each cell the mean of 3 × 2/);
  });

  it("heatmap: the SVG holds the same picture, row 0 on top", () => {
    const svg = heatmap(new Uint8Array([1, 0, 0, 0, 0, 0]), { rows: 3, cols: 2 }).toSvg();
    checkWellFormed(svg);
    const png = Buffer.from(/<image[^>]*href="data:image\/png;base64,([^"]*)"/.exec(svg)![1], "base64");
    const start = png.indexOf("IDAT") + 4;
    const lines = inflateSync(png.subarray(start, start + png.readUInt32BE(start - 8)));
    assert.deepEqual([...lines.subarray(1, 9)], [0x00, 0x72, 0xb2, 0xff, 0xe3, 0xe3, 0xe3, 0xff]);
    assert.deepEqual([...lines.subarray(10, 18)], [0xe3, 0xe3, 0xe3, 0xff, 0xe3, 0xe3, 0xe3, 0xff]);
  });

  it("images: puts pictures in a grid with gaps between them", () => {
    const figure = images([1, 2, 3, 4, 5, 6], { rows: 1, cols: 2, perRow: 2 });
    assert.deepEqual(figure.data[0].z, [
      [null, null, null, null, null],
      [1, 2, null, 3, 4],
      [null, null, null, null, null],
      [5, 6, null, null, null],
    ]);
    const labelled = images(new Uint8Array(3 * 784).fill(255), {
      rows: 28,
      cols: 28,
      labels: ["7", "2", "1"],
    });
    assert.deepEqual(labelled.data[1].text, ["7", "2", "1"]);
    assert.match(labelled.alt, /3 pictures of 28 × 28 pixels: 7, 2, 1/);
    checkWellFormed(labelled.toSvg());
    assert.throws(
      () => images([1, 2, 3], { rows: 2, cols: 2 }),
      /a whole number of pictures of 2 × 2, got 3 values/,
    );
    assert.throws(() => images([1], { rows: 1, cols: 1, labels: [] }), /labels must have 1 elements, got 0/);
  });

  it("bars: the SVG's bars are as long as their amounts", () => {
    const svg = bars({ a: 1, b: 3 }, { y: { range: [0, 4] } }).toSvg();
    checkWellFormed(svg);
    const [a, b] = [...svg.matchAll(/M[\d.]+ ([\d.]+)h[\d.]+V([\d.]+)h-/g)].map(
      (m) => Number(m[1]) - Number(m[2]),
    );
    assert.ok(a > 20 && Math.abs(b / a - 3) < 0.02, `${a} ${b}`);
  });

  it("bars: a category that a series lacks is a gap, stacked and horizontal bars draw", () => {
    const figure = bars({ one: { a: 1 }, two: { b: 2 } }, { mode: "stack", horizontal: true });
    assert.deepEqual(
      figure.data.map((trace) => trace.x),
      [
        [1, null],
        [null, 2],
      ],
    );
    checkWellFormed(figure.toSvg());
  });

  it("lines: keeps gaps, draws bands and error bars, on log axes too", () => {
    const figure = lines(
      {
        a: { x: [1, 10, 100], y: [1, null, 1e-4], error: [0.1, 0.1, 0.1] },
        b: { x: [1, 10, 100], y: [1, 2, 3], band: { lower: [0.5, 1, 2], upper: [2, 3, 4] } },
      },
      {
        x: { log: true, label: "n" },
        y: { log: true, range: [1e-5, 10] },
        references: [{ x: 10, label: "ten" }],
      },
    );
    assert.deepEqual((figure.layout.yaxis as { range: number[] }).range, [-5, 1]);
    assert.deepEqual(figure.data.find((trace) => trace.name === "a")!.y, [1, null, 1e-4]);
    assert.deepEqual(figure.data.find((trace) => trace.fill)!.y, [2, 3, 4, 2, 1, 0.5]);
    checkWellFormed(figure.toSvg());
  });

  it("scatter: the front holds what nothing beats", () => {
    const points = [
      { x: 3, y: 3 },
      { x: 1, y: 1 },
      { x: 2, y: 1 }, // beaten by (1, 1)
      { x: 2, y: 2.5 },
      { x: 4, y: 3 }, // beaten by (3, 3)
    ];
    const smallAndHigh = scatter(points, { front: { x: "min", y: "max" } }).data.at(-1)!;
    assert.deepEqual(
      [smallAndHigh.x, smallAndHigh.y],
      [
        [1, 2, 3],
        [1, 2.5, 3],
      ],
    );
    const largeAndLow = scatter(points, { front: { x: "max", y: "min" } }).data.at(-1)!;
    assert.deepEqual(
      [largeAndLow.x, largeAndLow.y],
      [
        [2, 4],
        [1, 3],
      ],
    );
  });

  it("labels have room: inside the plot, off the error bars, in small tables of colour", () => {
    const rangeOf = (figure: Figure) => (figure.layout.yaxis as { range: number[] }).range;
    const reference = { y: 0.98, label: "whole" };
    // The label needs 7 % of the height above its line.
    const raised = lines([0.2, 0.9], { y: { range: [0, 1] }, references: [reference] });
    assert.ok(Math.abs(0.98 / rangeOf(raised)[1] - 0.93) < 1e-9, String(rangeOf(raised)));
    assert.deepEqual(
      rangeOf(lines([0.2, 0.9], { y: { range: [0, 1.2] }, references: [reference] })),
      [0, 1.2],
    );
    assert.deepEqual(rangeOf(lines([0.2, 0.9], { y: { range: [0, 1] }, references: [{ y: 0.98 }] })), [0, 1]);
    // Plotly lets a range that nobody gave end at the line, and cuts the label off.
    const [bottom, top] = rangeOf(lines([0.2, 0.9], { references: [reference] }));
    assert.ok(bottom < 0.2 && Math.abs((0.98 - bottom) / (top - bottom) - 0.93) < 1e-9, `${bottom}, ${top}`);
    const upright = (x: number) => {
      const { layout } = lines([1, 2], { xs: [0, 10], references: [{ x, label: "here" }] });
      return (layout.shapes as [{ label: { xanchor: string } }])[0].label.xanchor;
    };
    assert.deepEqual([upright(1), upright(9)], ["left", "right"]);

    const points = [0, 5, 10].map((x) => ({ x, y: x, label: `point ${x}` }));
    assert.deepEqual(scatter(points).data[0].textposition, ["top right", "top center", "top left"]);
    // Two labels in one place would hide each other: one of them goes below its point.
    const near = [0, 5, 5.2, 10].map((x) => ({ x, y: x, label: `a point with a long name, ${x}` }));
    assert.deepEqual(scatter(near).data[0].textposition, [
      "top right",
      "top center",
      "bottom center",
      "top left",
    ]);
    const spread = bars({ a: 1, b: 2 }, { errors: { a: 0.1, b: 0.2 } }).data[0];
    assert.deepEqual([spread.textposition, spread.insidetextanchor], ["inside", "start"]);

    const table = heatmap([0.25, 1, 2, 30], { rows: 2, cols: 2, rowNames: ["a", "b"], colNames: ["c", "d"] });
    const svg = table.toSvg();
    checkWellFormed(svg);
    for (const [number, color] of [
      ["0.25", "#FFFFFF"],
      ["30", "#000000"],
    ]) {
      assert.match(
        svg,
        new RegExp(`fill="${color}">${number}</text>`),
        "light on dark cells, dark on light ones",
      );
    }
    assert.equal(heatmap([0, 1, 2, 3], { rows: 2, cols: 2 }).data[0].texttemplate, undefined);
  });

  it("spectrum: marks the rank that holds the energy", () => {
    // Squares 4, 3, 2, 1: shares 0.4, 0.7, 0.9, 1.
    const values = [4, 3, 2, 1].map(Math.sqrt);
    const figure = spectrum(values, { energies: [0.4, 0.9, 0.95] });
    assert.deepEqual(figure.data.at(-1)!.x, [1, 3, 4]);
    assert.deepEqual(figure.data[1].y, [0.4, 0.7, 0.9, 1]);
    checkWellFormed(figure.toSvg());
    // Marks side by side share a label; those far apart have their own, whatever the order they were asked for in.
    assert.deepEqual(spectrum([3, 1], { energies: [0.8, 0.9, 1] }).data.at(-1)!.text, [
      "",
      "80% at k = 1, 90% at k = 1",
      "100% at k = 2",
    ]);
    const flat = new Float64Array(100).fill(1);
    assert.deepEqual(spectrum(flat, { energies: [0.9, 0.5] }).data.at(-1)!.text, [
      "50% at k = 50",
      "90% at k = 90",
    ]);
    const two = spectrum({ a: values, b: values }, { energies: [0.9] });
    assert.equal(two.data[0].name, "a: 90% at k = 3", "the legend says it where marks would be too close");
    assert.throws(() => spectrum([1, 2]), /data must be sorted, largest first, got 2 after 1/);
    assert.throws(() => spectrum([0, 0]), /must have a value above 0/);
  });

  it("slider: each position shows its own traces, on axes that hold all", () => {
    const at = (top: number) => lines([0, top], { title: `to ${top}` });
    const figure = slider([at(1), at(5)], { label: "top", values: [1, 5], start: 1 });
    assert.deepEqual(
      figure.data.map((trace) => trace.visible),
      [false, true],
    );
    const [{ steps }] = figure.layout.sliders as [
      { steps: { label: string; args: Record<string, unknown>[] }[] },
    ];
    assert.deepEqual(
      steps.map((step) => step.args[0].visible),
      [
        [true, false],
        [false, true],
      ],
    );
    assert.deepEqual(
      steps.map((step) => step.args[1]["title.text"]),
      ["to 1", "to 5"],
    );
    const [low, high] = (figure.layout.yaxis as { range: number[] }).range;
    assert.ok(low <= 0 && high >= 5);
    checkWellFormed(figure.toSvg());
    assert.match(figure.toSvg(), /top: 5 \(2 of 2/);
    assert.throws(() => slider([at(1)], { label: "top", values: [] }), /values must have 1 elements, got 0/);
  });

  it("a figure shows itself: Plotly JSON, an SVG with title and description, and text", () => {
    const figure = lines([1, 2], { title: 'a < b & "c"', alt: "rises" });
    const bundle = bundleOf(figure);
    assert.deepEqual(Object.keys(bundle), ["application/vnd.plotly.v1+json", "image/svg+xml", "text/plain"]);
    assert.deepEqual(JSON.parse(JSON.stringify(bundle["application/vnd.plotly.v1+json"])).data[0].y, [1, 2]);
    checkWellFormed(bundle["image/svg+xml"]);
    assert.match(bundle["image/svg+xml"], /<title>a &lt; b &amp; &quot;c&quot;<\/title><desc>rises<\/desc>/);
    assert.equal(bundle["text/plain"], "Figure: rises");
  });

  it("numbers are cut to five significant digits", () => {
    assert.deepEqual(lines([1 / 3, 123456.7]).data[0].y, [0.33333, 123460]);
  });

  it("errors name the option and the value", () => {
    assert.throws(() => histogram([1], { bins: 0 }), /bins must be a whole number from 1 to 500, got 0/);
    assert.throws(() => histogram([]), /data must have at least one number, got none/);
    assert.throws(() => histogram({ w: [1, Number.NaN] }), /w must be finite, got NaN at index 1/);
    assert.throws(() => heatmap([1, 2, 3], { rows: 2, cols: 2 }), /values must have 4 elements, got 3/);
    assert.throws(() => heatmap([1], undefined as never), /rows must be a whole number of at least 1/);
    assert.throws(() => bars({}), /bars: data must hold at least one series, got none/);
    assert.throws(() => bars({ a: Number.POSITIVE_INFINITY }), /a must be finite, got Infinity/);
    assert.throws(
      () => bars({ a: 0.9 }, { y: { range: [0.5, 1] } }),
      /range of the bars' amounts must hold 0/,
    );
    assert.throws(() => bars({ a: -3 }, { horizontal: true, x: { range: [-4, -1] } }), /must hold 0/);
    bars({ a: 0.9 }, { horizontal: true, x: { range: [0, 1] }, y: { range: [2, 3] } });
    bars({ a: 20 }, { y: { range: [10, 100], log: true } });
    assert.throws(() => lines({ a: { x: [1], y: [1, 2] } }), /a\.x must have 2 elements, got 1/);
    assert.throws(() => lines([1], { height: 10 }), /height must be a whole number from 120 to 2000, got 10/);
    assert.throws(() => lines([1], { references: [{}] }), /references\[0\] must have x or y/);
    assert.throws(() => lines([1], { y: { log: true, range: [0, 1] } }), /y\.range\[0\] must be a number/);
    assert.throws(() => scatter([]), /scatter: data must hold at least one point, got none/);
    assert.throws(
      () => lines(5 as never),
      /lines: data must be an array, or an object of arrays by name, got 5/,
    );
  });
});

describe("plots: quantities apart from marks", () => {
  it("sums up runs by mean or median, with four kinds of spread", () => {
    const runs = { a: [1, 2, 3, 10], b: [5] };
    assert.deepEqual(summarize(runs), { data: { a: 4, b: 5 }, errors: { a: Math.sqrt(50 / 3), b: 0 } });
    assert.deepEqual(summarize(runs, { middle: "median", spread: "quartiles" }), {
      data: { a: 2.5, b: 5 },
      errors: { a: (4.75 - 1.75) / 2, b: 0 },
    });
    assert.equal(summarize(runs, { spread: "range" }).errors.a, 4.5);
    assert.equal(summarize(runs, { spread: "standardError" }).errors.a, Math.sqrt(50 / 3) / 2);
  });

  it("goes into bars, by series too", () => {
    const { data, errors } = summarize({ before: { fc1: [1, 3, 2] }, after: { fc1: [2, 2] } });
    const [before, after] = bars(data, { errors }).data;
    assert.deepEqual([before.y, after.y], [[2], [2]]);
    assert.deepEqual((before.error_y as { array: number[] }).array, [1]);
  });

  it("names a list that says nothing", () => {
    assert.throws(() => summarize({ a: { b: [] } }), /a\.b must hold at least one value/);
    assert.throws(() => summarize({ a: [Number.NaN] }), /a must hold at least one value/);
    assert.throws(() => summarize({ a: [1] }, { spread: "variance" as never }), /spread must be/);
  });

  it("draws error bars of points, and saves a figure as SVG", async () => {
    const figure = scatter([
      { x: 1, y: 2, error: 0.5 },
      { x: 2, y: 3 },
    ]);
    assert.deepEqual((figure.data[0].error_y as { array: number[] }).array, [0.5, 0]);
    const folder = await mkdtemp(join(tmpdir(), "slimlab-figure-"));
    try {
      await figure.save(join(folder, "f.svg"));
      assert.equal(await readFile(join(folder, "f.svg"), "utf8"), figure.toSvg());
      await assert.rejects(figure.save(join(folder, "f.pdf")), /path must end in \.svg/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
