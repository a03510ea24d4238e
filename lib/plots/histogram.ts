// How values spread: weights before and after pruning, activations, errors.
import { checkInteger, checkNumber, checkOneOf } from "../util/check.ts";
import type { Figure } from "./figure.ts";
import {
  checkValues,
  color,
  isNumbers,
  makeFigure,
  namedSeries,
  type PlotOptions,
  short,
  shortAll,
} from "./options.ts";
import type { PlotlyTrace } from "./plotly.ts";
import { withOpacity } from "./theme.ts";

/** Options of {@link histogram}. */
export interface HistogramOptions extends PlotOptions {
  /** How many bins, 1 to 500. */
  bins?: number;
  /** The values counted, from and to; what lies outside is left out. Default: all. */
  range?: [number, number];
  /** Bars as counts, or as shares of the series' length. */
  of?: "count" | "share";
  /** `skip` leaves exact zeros out (their share is named in the legend): a pruned layer's would dwarf the rest. */
  zeros?: "keep" | "skip";
}

/**
 * A histogram of one array, or of several by name, over common bins. Only the counts are embedded, never the values.
 *
 * @param data numbers, or `{ name: numbers }`
 * @throws RangeError for an empty series, NaN or Infinity
 */
export function histogram(
  data: ArrayLike<number> | Record<string, ArrayLike<number>>,
  options: HistogramOptions = {},
): Figure {
  const bins = checkInteger("bins", options.bins ?? 60, 1, 500);
  const of = checkOneOf("of", options.of ?? "count", ["count", "share"]);
  const zeros = checkOneOf("zeros", options.zeros ?? "keep", ["keep", "skip"]);
  const series = namedSeries<ArrayLike<number>>("histogram", data, isNumbers);
  for (const [name, values] of series) {
    checkValues(name || "data", values);
    if (values.length === 0)
      throw new RangeError(`${name || "data"} must have at least one number, got none`);
  }
  const [from, to] = options.range ?? extentOf(series.map(([, values]) => values));
  checkNumber("range[0]", from);
  checkNumber("range[1]", to, from);
  const width = to > from ? (to - from) / bins : 1;
  const start = to > from ? from : from - (bins * width) / 2; // all equal: one bin in the middle

  const log = typeof options.y === "object" && options.y.log === true;
  const facts: string[] = [];
  const traces = series.map(([name, values], index): PlotlyTrace => {
    const counts = new Float64Array(bins);
    let zeroCount = 0;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value === 0) zeroCount++;
      if (value === 0 && zeros === "skip") continue;
      const bin = Math.floor((value - start) / width);
      if (bin >= 0 && bin < bins) counts[bin]++;
      else if (value === to) counts[bins - 1]++; // the last bin has both its ends
    }
    const zeroShare = zeroCount / values.length;
    facts.push(`${name ? `${name}: ` : ""}${values.length} values, ${percent(zeroShare)} exactly zero`);
    const label =
      zeros === "skip" && zeroCount > 0 ? `${name || "values"} (without ${percent(zeroShare)} zeros)` : name;
    const heights = shortAll(of === "share" ? counts.map((count) => count / values.length) : counts);
    // Several histograms are outlines, so that each can be followed where they overlap. On a log axis an empty bin has
    // no place for an outline: there bars stay bars.
    if (series.length > 1 && !log) {
      return {
        type: "scatter",
        mode: "lines",
        name: label,
        x0: short(start - width / 2)!,
        dx: width,
        y: [0, ...heights, 0], // an outline comes down on both sides
        line: { color: color(index), width: 2, shape: "hvh" },
        fill: "tozeroy",
        fillcolor: withOpacity(color(index), 0.2),
      };
    }
    return {
      type: "bar",
      name: label,
      x0: short(start + width / 2)!,
      dx: width,
      y: heights,
      marker: { color: color(index) },
      opacity: series.length > 1 ? 0.55 : 0.9,
    };
  });
  return makeFigure(traces, options, {
    x: { label: "value" },
    y:
      of === "share"
        ? { label: "share of values", format: "percent" }
        : { label: "number of values", format: "si" },
    alt: `Histogram. ${facts.join("; ")}`,
    layout: { barmode: "overlay", bargap: 0 },
  });
}

function extentOf(arrays: ArrayLike<number>[]): [number, number] {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (const values of arrays) {
    for (let i = 0; i < values.length; i++) {
      if (values[i] < min) min = values[i];
      if (values[i] > max) max = values[i];
    }
  }
  return [min, max];
}

function percent(share: number): string {
  return `${Number((100 * share).toPrecision(3))}%`;
}
