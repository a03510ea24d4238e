// Points in a plane: models by size and accuracy, with the front of those that nothing beats.
import { checkOneOf, shown } from "../util/check.ts";
import type { Figure } from "./figure.ts";
import { checkValues, color, makeFigure, namedSeries, type PlotOptions, shortAll } from "./options.ts";
import type { PlotlyTrace } from "./plotly.ts";
import { ink, symbols } from "./theme.ts";

/** A point, with a name for the reader who points at it. */
export interface Point {
  x: number;
  y: number;
  label?: string;
  /** Half-length of an error bar along y. */
  error?: number;
}

/** Options of {@link scatter}. */
export interface ScatterOptions extends PlotOptions {
  /** Draws the Pareto front over all series: which way is better on each axis. */
  front?: { x: "min" | "max"; y: "min" | "max" };
  /** Writes each point's label beside it. Default: where there are at most 12 points. */
  labels?: boolean;
}

/**
 * A scatter plot of points, or of several series of points by name.
 *
 * @throws RangeError for NaN, Infinity or no point at all
 */
export function scatter(data: Point[] | Record<string, Point[]>, options: ScatterOptions = {}): Figure {
  const series = namedSeries<Point[]>("scatter", data, Array.isArray);
  const all = series.flatMap(([name, points]) => {
    if (!Array.isArray(points))
      throw new TypeError(`${name} must be an array of { x, y }, got ${shown(points)}`);
    checkValues(
      `${name || "data"} x`,
      points.map((point) => point?.x),
    );
    checkValues(
      `${name || "data"} y`,
      points.map((point) => point?.y),
    );
    return points;
  });
  if (all.length === 0) throw new RangeError("scatter: data must hold at least one point, got none");
  const labels = options.labels ?? all.length <= 12;
  // A label beside the plot's edge runs inwards, or the edge would cut it.
  const place = typeof options.x === "object" && options.x.log ? Math.log10 : (x: number) => x;
  const ends = [Math.min, Math.max].map((end) => end(...all.map((point) => place(point.x))));
  const textposition = ({ x }: Point) => {
    const share = (place(x) - ends[0]) / (ends[1] - ends[0]); // NaN where all are equal: in the middle
    return share < 0.15 ? "top right" : share > 0.85 ? "top left" : "top center";
  };
  const traces = series.map(([name, points], index): PlotlyTrace => {
    const labelled = points.some((point) => point.label);
    const errors = points.map(({ error }) => error ?? 0);
    checkValues(`${name || "data"} error`, errors);
    return {
      type: "scatter",
      mode: labels && labelled ? "markers+text" : "markers",
      name,
      x: shortAll(points.map((point) => point.x)),
      y: shortAll(points.map((point) => point.y)),
      ...(labelled && {
        text: points.map((point) => point.label ?? ""),
        textposition: points.map(textposition),
      }),
      ...(errors.some((error) => error > 0) && {
        error_y: { type: "data", array: shortAll(errors), visible: true, thickness: 1.5, width: 3 },
      }),
      marker: { color: color(index), symbol: symbols[index % symbols.length], size: 9 },
    };
  });
  if (options.front) {
    const better = {
      x: checkOneOf("front.x", options.front.x, ["min", "max"]),
      y: checkOneOf("front.y", options.front.y, ["min", "max"]),
    };
    const front = frontOf(all, better);
    traces.push({
      type: "scatter",
      mode: "lines",
      name: "Pareto front",
      x: shortAll(front.map((point) => point.x)),
      y: shortAll(front.map((point) => point.y)),
      // A step, not a slope: between two models there is no third. The level that holds is the one already reached.
      line: { color: ink, width: 1.5, dash: "dash", shape: better.x === "min" ? "hv" : "vh" },
      hoverinfo: "skip",
    });
  }
  return makeFigure(traces, options, {
    alt: `Scatter plot of ${all.length} points${options.front ? `, ${traces.at(-1)!.x!.length} of them on the Pareto front` : ""}`,
  });
}

/** The points that no other beats on both axes, by rising x. */
function frontOf(points: Point[], better: { x: "min" | "max"; y: "min" | "max" }): Point[] {
  const sx = better.x === "min" ? 1 : -1;
  const sy = better.y === "min" ? 1 : -1;
  const sorted = [...points].sort((a, b) => sx * (a.x - b.x) || sy * (a.y - b.y));
  const front: Point[] = [];
  for (const point of sorted) {
    if (front.length === 0 || sy * point.y < sy * front.at(-1)!.y) front.push(point);
  }
  return better.x === "min" ? front : front.reverse();
}
