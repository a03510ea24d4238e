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
  const places = labelPlaces(all, options);
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
        textposition: points.map((point) => places.get(point)!),
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

/**
 * Where each label stands: above its point, or below or beside that where another label is in the way. One beside the plot's edge runs
 * inwards, or the edge would cut it.
 */
function labelPlaces(points: readonly Point[], { x, y }: ScatterOptions): Map<Point, string> {
  // What a plot in a page measures, and its letters, in pixels: on another screen the places are no worse than any.
  const [width, height, letter, line, gap] = [520, 300, 6.5, 14, 9];
  const across = sharesOf(points, "x", x);
  const upwards = sharesOf(points, "y", y);
  const taken: [left: number, top: number, right: number, bottom: number][] = [];
  const places = new Map<Point, string>();
  const fromTheLeft = [...points.keys()].sort((a, b) => across[a] - across[b]);
  for (const i of fromTheLeft) {
    const size = letter * (points[i].label ?? "").length;
    const [at, middle] = [width * across[i], height * (1 - upwards[i])];
    const sides = across[i] < 0.15 ? ["right"] : across[i] > 0.85 ? ["left"] : ["center", "right", "left"];
    const candidates = sides.flatMap((side) =>
      ["top", "bottom"].map((end) => {
        const left = at - (side === "right" ? 0 : side === "left" ? size : size / 2);
        const top = end === "top" ? middle - gap - line : middle + gap;
        const box: (typeof taken)[number] = [left, top, left + size, top + line];
        return {
          name: `${end} ${side}`,
          box,
          hidden: taken.reduce((sum, one) => sum + overlap(box, one), 0),
        };
      }),
    );
    const best = candidates.reduce((a, b) => (b.hidden < a.hidden ? b : a));
    if (size > 0) taken.push(best.box);
    places.set(points[i], best.name);
  }
  return places;
}

/** Where points lie along an axis, 0 to 1; in the middle where all are equal. */
function sharesOf(points: readonly Point[], of: "x" | "y", axis: PlotOptions["x"]): number[] {
  const place = typeof axis === "object" && axis.log ? Math.log10 : (value: number) => value;
  const values = points.map((point) => place(point[of]));
  const range = typeof axis === "object" ? axis.range?.map(place) : undefined;
  const [from, to] = range ?? [Math.min(...values), Math.max(...values)];
  return values.map((value) => (to === from ? 0.5 : (value - from) / (to - from)));
}

function overlap(a: readonly number[], b: readonly number[]): number {
  const across = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const down = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  return Math.max(0, across) * Math.max(0, down);
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
