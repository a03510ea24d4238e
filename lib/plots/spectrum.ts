// Section 3.3.1: how fast singular values decay, and how much of the matrix the first k hold.
import { shown } from "../util/check.ts";
import type { Figure } from "./figure.ts";
import {
  axisLayout,
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
import { dashes } from "./theme.ts";

/** Options of {@link spectrum}: `y` is the upper plot's axis. */
export interface SpectrumOptions extends Omit<PlotOptions, "references"> {
  /** Shares of energy whose rank is marked, each in (0, 1]. */
  energies?: number[];
}

/**
 * Singular values on a log axis above, and below the energy that the first k hold, Σ₁ᵏσ² / Σσ². Marks the rank at which
 * each of `energies` is reached.
 *
 * @param data singular values, largest first, or `{ name: values }`
 * @throws RangeError for values that are negative, rise, or are all zero
 */
export function spectrum(
  data: ArrayLike<number> | Record<string, ArrayLike<number>>,
  options: SpectrumOptions = {},
): Figure {
  const energies = options.energies ?? [0.9, 0.99];
  const series = namedSeries<ArrayLike<number>>("spectrum", data, isNumbers);
  const longest = Math.max(...series.map(([, values]) => values.length));
  const facts: string[] = [];
  const traces: PlotlyTrace[] = [];
  for (const [index, [name, values]] of series.entries()) {
    const label = name || "data";
    checkValues(label, values);
    const energy = new Float64Array(values.length);
    let total = 0;
    for (let i = 0; i < values.length; i++) {
      if (values[i] < 0)
        throw new RangeError(`${label} must not be negative, got ${values[i]} at index ${i}`);
      if (i > 0 && values[i] > values[i - 1] * (1 + 1e-6)) {
        throw new RangeError(
          `${label} must be sorted, largest first, got ${values[i]} after ${values[i - 1]}`,
        );
      }
      energy[i] = total += values[i] ** 2;
    }
    if (total === 0)
      throw new RangeError(`${label} must have a value above 0, got ${shown(values)} without one`);
    const line = { color: color(index), width: 2, dash: dashes[index % dashes.length] };
    // Below a millionth of the largest a value is rounding noise: on a log axis it would squash all that matters.
    const floor = values[0] * 1e-6;
    const ranks = Array.from(values, (_, i) => i + 1);
    const y = Array.from(values, (value) => (value > floor ? short(value) : null));
    const share = energy.map((value) => value / total);
    const marks = energies
      .toSorted((a, b) => a - b)
      .map((wanted) => {
        if (!(wanted > 0 && wanted <= 1))
          throw new RangeError(`energies must be in (0, 1], got ${shown(wanted)}`);
        const rank = share.findIndex((value) => value >= wanted - 1e-12) + 1;
        facts.push(
          `${name ? `${name}: ` : ""}rank ${rank} of ${values.length} holds ${Number((100 * wanted).toPrecision(4))}% of the energy`,
        );
        return { rank, text: `${Number((100 * wanted).toPrecision(4))}% at k = ${rank}` };
      });
    // The labels of several series would run into each other's lines: there the legend has them.
    const legend = name && [name, marks.map(({ text }) => text).join(", ")].filter(Boolean).join(": ");
    traces.push({ type: "scatter", mode: "lines", name: legend, x: ranks, y, line, legendgroup: name });
    traces.push({
      ...{ type: "scatter", mode: "lines", name, x: ranks, y: shortAll(share), line, legendgroup: name },
      ...{ xaxis: "x2", yaxis: "y2", showlegend: false },
    });
    // Marks close to each other share one label, at the last of them: two would stand on top of each other.
    for (let i = 1; i < marks.length; i++) {
      if (marks[i].rank - marks[i - 1].rank >= 0.26 * longest) continue;
      marks[i].text = `${marks[i - 1].text}, ${marks[i].text}`;
      marks[i - 1].text = "";
    }
    if (marks.length > 0) {
      traces.push({
        type: "scatter",
        mode: series.length > 1 ? "markers" : "markers+text",
        name,
        x: marks.map(({ rank }) => rank),
        y: marks.map(({ rank }) => short(share[rank - 1])),
        text: marks.map(({ text }) => text),
        // To the right and below, where a rising curve is not, unless the text would leave the plot: a letter is about a
        // hundredth of its width.
        textposition: marks.map(({ rank, text }) =>
          rank - 1 + 0.01 * text.length * longest > longest - 1 ? "bottom left" : "bottom right",
        ),
        marker: { color: color(index), size: 8 },
        xaxis: "x2",
        yaxis: "y2",
        showlegend: false,
        legendgroup: name,
      });
    }
  }
  const x = typeof options.x === "string" ? { label: options.x } : options.x;
  return makeFigure(
    traces,
    { ...options, x: { ...x, label: "" } },
    {
      y: { label: "singular value", log: true },
      height: 520,
      alt: `Singular values and their cumulative energy. ${facts.join("; ")}`,
      layout: {
        xaxis2: { ...axisLayout("x", x, { label: "rank k" }), anchor: "y2", matches: "x" },
        yaxis2: {
          ...axisLayout("y2", { label: "energy held", format: "percent" }),
          domain: [0, 0.44],
          anchor: "x2",
        },
      },
    },
  ).with((layout) => {
    (layout.yaxis as Record<string, unknown>).domain = [0.56, 1];
  });
}
