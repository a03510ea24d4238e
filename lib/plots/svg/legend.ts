// The legend of a static picture, and the sentence that stands for its slider.
import type { PlotlyLayout, PlotlyTrace } from "../plotly.ts";
import { textUnits } from "../text.ts";
import { drawLine } from "./lines.ts";
import { attribute, markerColor, n, type Scale, text } from "./parts.ts";

export interface LegendItem {
  name: string;
  trace: PlotlyTrace;
  at: number;
}

export function legendRows(traces: PlotlyTrace[], layout: PlotlyLayout, width: number): LegendItem[][] {
  const named = traces.filter((trace) => trace.name && trace.showlegend !== false);
  if (layout.showlegend === false || (named.length < 2 && !named.some((trace) => trace.showlegend)))
    return [];
  const rows: LegendItem[][] = [[]];
  let at = 0;
  for (const trace of named) {
    const size = 34 + 6.8 * textUnits(trace.name!) + 16;
    if (at + size > width - 60 && at > 0) {
      rows.push([]);
      at = 0;
    }
    rows.at(-1)!.push({ name: trace.name!, trace, at });
    at += size;
  }
  return rows;
}

export function drawLegendRow(row: LegendItem[], left: number, y: number): string {
  return row
    .map(({ name, trace, at }) => {
      const x = left + at;
      const key =
        trace.type === "scatter"
          ? drawLegendLine(trace, x, y)
          : `<path d="M${n(x + 8)} ${n(y - 6)}h12v12h-12z" fill="${attribute(markerColor(trace))}" fill-opacity="${attribute(trace.opacity ?? 1)}"/>`;
      return key + text(x + 32, y + 4, name);
    })
    .join("");
}

function drawLegendLine(trace: PlotlyTrace, x: number, y: number): string {
  const scale = (from: number): Scale => ({
    span: { names: [] },
    unit: 1,
    place: (value) => from + (value as number),
  });
  const { error_y: _error, text: _text, ...rest } = trace;
  const place = { x: scale(x), y: scale(y) };
  const line = drawLine(
    { ...rest, mode: String(trace.mode).includes("lines") ? "lines" : "none", x: [0, 26], y: [0, 0] },
    place,
  );
  const mark = drawLine(
    { ...rest, mode: String(trace.mode).includes("markers") ? "markers" : "none", x: [13], y: [0] },
    place,
  );
  return line + mark;
}

export function sliderNote(layout: PlotlyLayout, say = (text: string) => text): string {
  const slider = (
    layout.sliders as
      | { active?: number; steps: { label: string }[]; currentvalue?: { prefix?: string } }[]
      | undefined
  )?.[0];
  if (!slider) return "";
  const active = slider.active ?? 0;
  const place = say(`(${active + 1} of ${slider.steps.length}; the interactive chart shows all)`);
  return `${slider.currentvalue?.prefix ?? ""}${slider.steps[active].label}${place.startsWith("（") ? "" : " "}${place}`;
}
