// Amounts by name: sparsity by layer, bytes by format, accuracy by method.
import { checkOneOf, shown } from "../util/check.ts";
import type { Figure } from "./figure.ts";
import { color, makeFigure, namedSeries, type PlotOptions, short } from "./options.ts";
import type { PlotlyTrace } from "./plotly.ts";

/** Amounts by category. */
export type Amounts = Record<string, number>;

/** Options of {@link bars}. */
export interface BarsOptions extends PlotOptions {
  /** Several series side by side, or on top of each other. */
  mode?: "group" | "stack";
  /** Bars that run to the right: for long names. The amounts are then on the x axis. */
  horizontal?: boolean;
  /** Half-lengths of error bars (one standard deviation, say), in the shape of the data. */
  errors?: Amounts | Record<string, Amounts>;
  /** The amount written at each bar. Default: where there are at most 24 bars. */
  labels?: boolean;
}

/**
 * A bar chart.
 *
 * @param data `{ category: amount }`, or `{ series: { category: amount } }`
 * @throws RangeError for NaN or Infinity, or no bar at all
 */
export function bars(data: Amounts | Record<string, Amounts>, options: BarsOptions = {}): Figure {
  const mode = checkOneOf("mode", options.mode ?? "group", ["group", "stack"]);
  const series = namedSeries<Amounts>("bars", data, isAmounts);
  const errors = new Map(
    options.errors ? namedSeries<Amounts>("bars errors", options.errors, isAmounts) : [],
  );
  const categories = [...new Set(series.flatMap(([, amounts]) => Object.keys(amounts)))];
  if (categories.length === 0) throw new RangeError("bars: data must hold at least one bar, got none");
  for (const name of errors.keys()) {
    if (!series.some(([other]) => other === name))
      throw new RangeError(`errors: there is no series ${shown(name)}`);
  }
  const amountAxis = options.horizontal ? options.x : options.y;
  const format = typeof amountAxis === "object" ? amountAxis.format : undefined;
  const labels = options.labels ?? series.length * categories.length <= 24;
  const template = format === "percent" ? "{v:.1%}" : format === "si" ? "{v:.3~s}" : "{v:.4~g}";

  const traces = series.map(([name, amounts], index): PlotlyTrace => {
    const values = categories.map((category) => {
      const value = amounts[category];
      if (value === undefined || value === null) return null; // this series has no such bar
      if (!Number.isFinite(value)) {
        throw new RangeError(
          `${[name, category].filter(Boolean).join(".")} must be finite, got ${shown(value)}`,
        );
      }
      return short(value);
    });
    const error = errors.get(name);
    const [along, amount] = options.horizontal ? ["y", "x"] : ["x", "y"];
    return {
      type: "bar",
      name,
      [along]: categories,
      [amount]: values,
      ...(options.horizontal && { orientation: "h" }),
      marker: { color: color(index) },
      ...(labels && {
        texttemplate: template.replace("{v", `%{${amount}`),
        textposition: mode === "stack" || error ? "inside" : "auto",
        ...(error && { insidetextanchor: "start" }), // the other end is the error bar's
      }),
      ...(error && {
        [`error_${amount}`]: {
          type: "data",
          array: categories.map((category) => short(error[category] ?? Number.NaN)),
          visible: true,
          color: "#808080",
        },
      }),
    };
  });
  const described = series
    .map(([name, amounts]) => {
      const shownBars = Object.entries(amounts).slice(0, 12);
      const text = shownBars
        .map(([category, value]) => `${category} ${Number(value.toPrecision(3))}`)
        .join(", ");
      return (name ? `${name}: ` : "") + text;
    })
    .join("; ");
  const figure = makeFigure(traces, options, { alt: `Bar chart. ${described}`, layout: { barmode: mode } });
  const axis = figure.layout[options.horizontal ? "yaxis" : "xaxis"] as Record<string, unknown>;
  axis.type = "category"; // a layer named "1" is a name, not a number
  axis.showgrid = false;
  if (options.horizontal) axis.autorange = "reversed"; // first bar on top
  return figure;
}

function isAmounts(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    Object.values(value).some((amount) => typeof amount !== "object")
  );
}
