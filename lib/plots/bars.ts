// Amounts by name: sparsity by layer, bytes by format, accuracy by method.
import { checkOneOf, shown } from "../util/check.ts";
import type { Figure } from "./figure.ts";
import { color, makeFigure, namedSeries, type PlotOptions, short } from "./options.ts";
import type { PlotlyTrace } from "./plotly.ts";
import { formatNumber } from "./text.ts";
import { symbols } from "./theme.ts";

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
 * A bar chart. On a logarithmic axis amounts are dots: a bar's length would say what its place does not, for it begins
 * nowhere.
 *
 * @param data `{ category: amount }`, or `{ series: { category: amount } }`
 * @throws RangeError for NaN or Infinity, no bar at all, or an axis that cuts the bars' beginning off
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
  const { format, log = false, range } = typeof amountAxis === "object" ? amountAxis : {};
  if (!log && range && (range[0] > 0 || range[1] < 0))
    throw new RangeError(
      `range of the bars' amounts must hold 0, from which their lengths count, got ${shown(range)}`,
    );
  if (log && options.errors) throw new RangeError("errors: bars on a logarithmic axis have none");
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
    if (log) {
      const written = template.slice(3, -1);
      return {
        type: "scatter",
        mode: labels ? "markers+text" : "markers",
        name,
        [along]: categories,
        [amount]: values,
        marker: { color: color(index), symbol: symbols[index % symbols.length], size: 11 },
        ...(labels && {
          cliponaxis: false,
          text: values.map((value) => (value === null ? "" : formatNumber(value, written))),
          // Several series stand at one place: their labels part to both sides.
          textposition: labelSides[options.horizontal ? "x" : "y"][series.length > 1 ? 1 + (index % 2) : 0],
        }),
      };
    }
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
  const figure = makeFigure(traces, options, {
    alt: `${log ? "Dot chart" : "Bar chart"}. ${described}`,
    layout: { barmode: mode },
  });
  const axis = figure.layout[options.horizontal ? "yaxis" : "xaxis"] as Record<string, unknown>;
  axis.type = "category"; // a layer named "1" is a name, not a number
  axis.showgrid = false;
  if (options.horizontal) axis.autorange = "reversed"; // first bar on top
  return figure;
}

/** Where a dot's label stands: alone, or for one series and the next. */
const labelSides = {
  x: ["middle right", "top center", "bottom center"],
  y: ["top center", "middle left", "middle right"],
};

function isAmounts(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    Object.values(value).some((amount) => typeof amount !== "object")
  );
}
