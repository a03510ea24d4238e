// One quantity against another: accuracy against sparsity, loss by epoch, SQNR against bits.
import { checkLength, shown } from "../util/check.ts";
import type { Figure } from "./figure.ts";
import {
  checkValues,
  color,
  isNumbers,
  makeFigure,
  namedSeries,
  type PlotOptions,
  shortAll,
} from "./options.ts";
import type { PlotlyTrace } from "./plotly.ts";
import { axisOf, spanOf } from "./ranges.ts";
import { dashes, symbols, withOpacity } from "./theme.ts";

/** A line: bare numbers are y at x = 0, 1, 2, … */
export type Line =
  | ArrayLike<number | null>
  | {
      x?: ArrayLike<number>;
      /** null leaves a gap. */
      y: ArrayLike<number | null>;
      /** Half-lengths of error bars. */
      error?: ArrayLike<number>;
      /** A shaded region about the line. */
      band?: { lower: ArrayLike<number>; upper: ArrayLike<number> };
    };

/** Options of {@link lines}. */
export interface LinesOptions extends PlotOptions {
  /** The x values of every series that brings none. */
  xs?: ArrayLike<number>;
  /** Marks on the points. Default: where a line has at most 40. */
  markers?: boolean;
}

/**
 * One line, or several by name.
 *
 * @param data a {@link Line}, or `{ name: Line }`
 * @throws RangeError for NaN, Infinity, x and y of different lengths, or an empty line
 */
export function lines(data: Line | Record<string, Line>, options: LinesOptions = {}): Figure {
  const series = namedSeries<Line>("lines", data, isLine);
  const bands: PlotlyTrace[] = [];
  const facts: string[] = [];
  const traces = series.map(([name, line], index): PlotlyTrace => {
    const label = name || "line";
    if (!isLine(line)) throw new TypeError(`${label} must be an array or { x, y }, got ${shown(line)}`);
    const {
      y,
      x = options.xs,
      error,
      band,
    } = isNumbers(line)
      ? ({ y: line } as Exclude<Line, ArrayLike<number | null>>)
      : (line as Exclude<Line, ArrayLike<number | null>>);
    checkValues(`${label}.y`, y, true);
    if (y.length === 0) throw new RangeError(`${label}.y must have at least one number, got none`);
    if (x) {
      checkLength(`${label}.x`, x, y.length);
      checkValues(`${label}.x`, x);
    }
    const xs = shortAll(x ?? Array.from(y, (_, i) => i));
    if (error) {
      checkLength(`${label}.error`, error, y.length);
      checkValues(`${label}.error`, error);
    }
    if (band) {
      checkLength(`${label}.band.lower`, band.lower, y.length);
      checkLength(`${label}.band.upper`, band.upper, y.length);
      checkValues(`${label}.band.lower`, band.lower);
      checkValues(`${label}.band.upper`, band.upper);
      bands.push({
        type: "scatter",
        mode: "lines",
        name: `${name} band`,
        x: [...xs, ...xs.slice().reverse()],
        y: [...shortAll(band.upper), ...shortAll(band.lower).reverse()],
        fill: "toself",
        fillcolor: withOpacity(color(index), 0.2),
        line: { width: 0, color: color(index) },
        hoverinfo: "skip",
        showlegend: false,
      });
    }
    const ys = shortAll(y);
    facts.push(`${name ? `${name}: ` : ""}from ${ys[0]} at ${xs[0]} to ${ys.at(-1)} at ${xs.at(-1)}`);
    const marked = options.markers ?? y.length <= 40;
    return {
      type: "scatter",
      mode: marked ? "lines+markers" : "lines",
      name,
      x: xs,
      y: ys,
      line: { color: color(index), width: 2, dash: dashes[index % dashes.length] },
      ...(marked && { marker: { symbol: symbols[index % symbols.length], size: 7, color: color(index) } }),
      ...(error && {
        error_y: { type: "data", array: shortAll(error), visible: true, thickness: 1.5, width: 3 },
      }),
    };
  });
  const figure = makeFigure([...bands, ...traces], options, { alt: `Line chart. ${facts.join("; ")}` });
  const marks = fewWholeNumbers(figure);
  if (marks) axisOf(figure.layout, "x").tickvals = marks;
  return figure;
}

/** Where the lines have only few whole numbers on x, apart enough for their labels: nobody measured at epoch 1.5. */
function fewWholeNumbers({ data, layout }: Figure): number[] | undefined {
  const marks = [...new Set(data.flatMap((trace) => trace.x as number[]))].sort((a, b) => a - b);
  const span = spanOf(data, layout, "x");
  if (marks.length < 2 || marks.length > 9 || span.names || !marks.every(Number.isInteger)) return undefined;
  const along = span.log ? marks.map(Math.log10) : marks;
  const least = 0.05 * (along.at(-1)! - along[0]);
  return along.every((at, i) => i === 0 || at - along[i - 1] >= least) ? marks : undefined;
}

function isLine(value: unknown): boolean {
  return (
    isNumbers(value) ||
    (typeof value === "object" && value !== null && isNumbers((value as { y?: unknown }).y))
  );
}
