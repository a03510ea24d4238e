// What all plots have in common: their options, checked at the edge, and the layout made from them.
import { checkInteger, checkNumber, checkOneOf, shown } from "../util/check.ts";
import { Figure } from "./figure.ts";
import type { PlotlyLayout, PlotlyTrace } from "./plotly.ts";
import { axisOf, spanOf } from "./ranges.ts";
import { wrapTitle } from "./text.ts";
import { grid, ink, palette } from "./theme.ts";

/** How an axis is drawn. A bare string is its label. */
export interface AxisOptions {
  /** What the axis shows. */
  label?: string;
  /** Its unit, shown in brackets after the label. */
  unit?: string;
  /** Logarithmic, base 10. */
  log?: boolean;
  /** From and to, in data units. Default: what the data need. */
  range?: [number, number];
  /** `percent` shows 0.5 as 50%; `si` shows 1500 as 1.5k. */
  format?: "percent" | "si";
}

/** A line across the plot, to compare with. Give `x` (vertical) or `y` (horizontal). */
export interface Reference {
  x?: number;
  y?: number;
  label?: string;
  /** Where along a horizontal line the label stands. */
  side?: "start" | "end";
}

/** The options that every plot takes. */
export interface PlotOptions {
  /** Says what one should see, not only what is drawn. */
  title?: string;
  /** For readers who do not see the figure. Default: the title, and what is drawn in numbers. */
  alt?: string;
  x?: string | AxisOptions;
  y?: string | AxisOptions;
  /** Pixels, 120 to 2000. */
  height?: number;
  references?: Reference[];
}

/** A number short enough to embed: five significant digits; null where there is none. */
export function short(value: number): number | null {
  return Number.isFinite(value) ? Number(value.toPrecision(5)) : null;
}

/** Numbers short enough to embed. */
export function shortAll(values: ArrayLike<number | null>): (number | null)[] {
  return Array.from(values, (value) => (value === null ? null : short(value)));
}

/** Throws unless every number is finite; null stands for a gap and is allowed where `gaps` says so. */
export function checkValues(name: string, values: ArrayLike<number | null>, gaps = false): void {
  if (!isNumbers(values)) throw new RangeError(`${name} must be an array of numbers, got ${shown(values)}`);
  for (let i = 0; i < values.length; i++) {
    if (gaps && values[i] === null) continue;
    if (!Number.isFinite(values[i])) {
      throw new RangeError(`${name} must be finite, got ${shown(values[i])} at index ${i}`);
    }
  }
}

/** Whether a value is a typed or plain array, and so one series rather than several by name. */
export function isNumbers(value: unknown): value is ArrayLike<number> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

/** One unnamed series, or several by name, as a list. */
export function namedSeries<T>(
  plot: string,
  data: unknown,
  isOne: (value: unknown) => boolean,
): [name: string, series: T][] {
  if (isOne(data)) return [["", data as T]];
  if (typeof data !== "object" || data === null) {
    throw new TypeError(`${plot}: data must be an array, or an object of arrays by name, got ${shown(data)}`);
  }
  const entries = Object.entries(data) as [string, T][];
  if (entries.length === 0) throw new RangeError(`${plot}: data must hold at least one series, got none`);
  return entries;
}

export function color(index: number): string {
  return palette[index % palette.length];
}

/** A Plotly axis from ours. */
export function axisLayout(
  name: string,
  option: string | AxisOptions | undefined,
  defaults: AxisOptions = {},
): PlotlyLayout {
  const axis = { ...defaults, ...(typeof option === "string" ? { label: option } : option) };
  if (axis.format !== undefined) checkOneOf(`${name}.format`, axis.format, ["percent", "si"]);
  let range: [number, number] | undefined;
  if (axis.range) {
    const [from, to] = axis.range;
    checkNumber(`${name}.range[0]`, from, axis.log ? Number.MIN_VALUE : undefined);
    checkNumber(`${name}.range[1]`, to, axis.log ? Number.MIN_VALUE : undefined);
    if (from === to) throw new RangeError(`${name}.range must have two different ends, got ${from} twice`);
    range = axis.log ? [Math.log10(from), Math.log10(to)] : [from, to];
  }
  return {
    title: { text: (axis.label ?? "") + (axis.unit ? ` (${axis.unit})` : ""), standoff: 10 },
    // A format of its own keeps Plotly from writing 20 and 50 as small digits between the powers.
    ...(axis.log && { type: "log", tickformat: "~g" }),
    ...(!axis.format && { exponentformat: "power" }),
    ...(range && { range }),
    ...(axis.format === "percent" && { tickformat: "~%" }),
    ...(axis.format === "si" && { tickformat: "~s" }),
    gridcolor: grid,
    zerolinecolor: "rgba(128,128,128,0.5)",
    automargin: true,
  };
}

/** Puts traces and options together into a figure. */
export function makeFigure(
  data: PlotlyTrace[],
  options: PlotOptions,
  defaults: { x?: AxisOptions; y?: AxisOptions; height?: number; alt: string; layout?: PlotlyLayout },
): Figure {
  const height = checkInteger("height", options.height ?? defaults.height ?? 380, 120, 2000);
  const title = options.title ?? "";
  const legend = data.filter((trace) => trace.showlegend !== false && trace.name).length > 1;
  const lines = wrapTitle(title);
  const figure = new Figure(
    data.map((trace) => ({
      ...trace,
      showlegend: legend && trace.showlegend !== false && Boolean(trace.name),
    })),
    {
      title: {
        text: lines.join("<br>"),
        x: 0,
        xref: "paper",
        xanchor: "left",
        // From the top: in the middle of the margin, a second line would lie on the legend.
        y: 1,
        yref: "container",
        yanchor: "top",
        pad: { t: 12 },
        font: { size: 15 },
      },
      meta: { alt: options.alt ?? [title, defaults.alt].filter(Boolean).join(". ") },
      height,
      margin: { l: 56, r: 16, t: (title ? 20 + 20 * lines.length : 16) + (legend ? 28 : 0), b: 48 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: ink, size: 12 },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
      xaxis: axisLayout("x", options.x, defaults.x),
      yaxis: axisLayout("y", options.y, defaults.y),
      ...(options.references && { shapes: options.references.map(referenceShape) }),
      ...defaults.layout,
    },
  );
  for (const id of ["x", "y"]) {
    const span = spanOf(figure.data, figure.layout, id);
    // Over few powers of ten Plotly would mark every digit, and their labels run into each other.
    if (!span.names && span.log && span.range[1] - span.range[0] < 3.5)
      axisOf(figure.layout, id).dtick = "D2";
  }
  placeLabels(figure);
  return figure;
}

/** Plotly cuts a reference's label off where the plot ends, and by itself sets that of a vertical line into the legend. */
function placeLabels({ data, layout }: Figure): void {
  const x = spanOf(data, layout, "x");
  const y = spanOf(data, layout, "y");
  const yAxis = axisOf(layout, "y");
  for (const { x0, y0, yref, label } of (layout.shapes ?? []) as Record<string, never>[]) {
    if (!label) continue;
    if (yref === "paper") {
      const [from, to] = x.names ? [0, 1] : x.range;
      const share = ((!x.names && x.log ? Math.log10(x0) : x0) - from) / (to - from);
      Object.assign(label, { yanchor: "top", xanchor: share < 0.35 ? "left" : "right" });
    } else if (!y.names && !y.reversed) {
      // The range, the author's or that of the data, may end just above the line; the label needs a fourteenth of it.
      const [from, to] = (yAxis.range as [number, number] | undefined) ?? y.range;
      const at = y.log ? Math.log10(y0) : y0;
      const needed = from + (at - from) / 0.93;
      if (from < to && at <= to && needed > to) yAxis.range = [from, needed];
    }
  }
}

function referenceShape(reference: Reference, index: number): PlotlyLayout {
  const { x, y, label } = reference;
  const side = checkOneOf(`references[${index}].side`, reference.side ?? "end", ["start", "end"]);
  if ((x === undefined) === (y === undefined)) {
    throw new RangeError(`references[${index}] must have x or y, and not both`);
  }
  checkNumber(`references[${index}].${x === undefined ? "y" : "x"}`, x ?? y!);
  const place =
    x !== undefined
      ? { x0: x, x1: x, y0: 0, y1: 1, yref: "paper" }
      : { x0: 0, x1: 1, xref: "paper", y0: y, y1: y };
  return {
    type: "line",
    ...place,
    line: { color: ink, width: 1.5, dash: "dash" },
    ...(label && {
      label: {
        text: label,
        textposition: x !== undefined ? "end" : side,
        font: { size: 11 },
        ...(x !== undefined && { textangle: 0 }),
      },
    }),
  };
}
