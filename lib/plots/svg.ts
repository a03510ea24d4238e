// The static picture of a figure: axes, ticks, legend, bars, lines, heat maps and error bars, for the Plotly subset that
// the plots here write. It stands in where scripts do not run, in print, and until Plotly has loaded.

import { escapeHtml } from "../util/html.ts";
import { type PlotlyLayout, type PlotlyTrace, plainTitle } from "./plotly.ts";
import { axisOf, type Span, spanOf, ticks } from "./ranges.ts";
import { axisTitle, drawAxes } from "./svg/axes.ts";
import { drawBars } from "./svg/bars.ts";
import { colorbarWidth, drawColorbar, drawHeatmap } from "./svg/heatmap.ts";
import { drawLegendRow, legendRows, sliderNote } from "./svg/legend.ts";
import { drawLine } from "./svg/lines.ts";
import { makeScale, n, type Panel, text } from "./svg/parts.ts";
import { formatNumber, textUnits, wrap } from "./text.ts";
import { ink } from "./theme.ts";

/** Options of {@link renderSvg}. */
export interface SvgOptions {
  /** Pixels of the drawing's coordinate system; the picture scales to its place. */
  width?: number;
  /** False leaves the title out of the picture (it stays in its description): a page may show it as a caption. */
  title?: boolean;
  /** Puts the picture's own words into the reader's language; the figure's are in it already. Default: English. */
  say?: (text: string) => string;
}

/**
 * Draws a figure of bars, lines, points and heat maps.
 *
 * @throws RangeError for a kind of trace that it cannot draw
 */
export function renderSvg(data: PlotlyTrace[], layout: PlotlyLayout, options: SvgOptions = {}): string {
  const width = options.width ?? 720;
  const height = (layout.height as number) ?? 380;
  const traces = data.filter((trace) => trace.visible !== false);
  for (const trace of traces) {
    if (!["bar", "scatter", "heatmap"].includes(trace.type)) {
      throw new RangeError(
        `the SVG shows traces of type bar, scatter and heatmap, got ${JSON.stringify(trace.type)}`,
      );
    }
  }
  const titleText = plainTitle(layout);
  const titleLines = titleText && options.title !== false ? wrap(titleText, Math.floor(width / 9.2)) : [];
  const legend = legendRows(traces, layout, width);
  const note = sliderNote(layout, options.say);

  const pairs = [...new Set(traces.map((trace) => `${trace.xaxis ?? "x"} ${trace.yaxis ?? "y"}`))];
  const spans = new Map<string, Span>();
  for (const id of new Set(pairs.flatMap((pair) => pair.split(" ")))) spans.set(id, spanOf(data, layout, id));
  const left = Math.max(
    ...[...spans]
      .filter(([id]) => id[0] === "y")
      .map(([id, span]) => {
        const axis = axisOf(layout, id);
        const labels =
          span.names ?? ticks(span, 6).map((tick) => formatNumber(tick, axis.tickformat as string));
        return (
          Math.min(width / 2.3, Math.max(...labels.map((label) => 7.2 * textUnits(label)), 8)) +
          (axisTitle(axis) ? 34 : 14)
        );
      }),
    30,
  );
  const colorbar = traces.find((trace) => trace.type === "heatmap" && trace.showscale !== false);
  const area = {
    left,
    right: width - (colorbar ? colorbarWidth(colorbar) + 18 : 18),
    top: (titleLines.length > 0 ? 14 + 19 * titleLines.length : 14) + 22 * legend.length,
    bottom: height - (note ? 26 : 0) - 46,
  };

  const parts: string[] = [];
  for (const [i, line] of titleLines.entries()) {
    parts.push(text(10, 20 + 19 * i, line, { size: 15, weight: 600 }));
  }
  for (const [i, row] of legend.entries()) {
    parts.push(
      drawLegendRow(row, area.left, (titleLines.length > 0 ? 14 + 19 * titleLines.length : 8) + 12 + 22 * i),
    );
  }
  const panels = pairs.map((pair) => makePanel(pair, data, traces, layout, spans, area));
  for (const panel of panels) parts.push(drawPanel(panel, layout));
  if (colorbar) {
    const right = Math.max(...panels.map(({ box }) => box.right)); // a square ends before the area does
    parts.push(drawColorbar(colorbar, right + 18, area.top, panels[0].box.bottom));
  }
  if (note) parts.push(text(10, height - 8, note, { size: 12, style: "italic" }));

  const alt = (layout.meta as { alt?: string } | undefined)?.alt ?? titleText;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${n(width)} ${n(height)}" width="${n(width)}" height="${n(height)}"`,
    ` role="img" font-family="system-ui,sans-serif" color="${ink}" fill="currentColor">`,
    `<title>${escapeHtml(titleText || "Figure")}</title><desc>${escapeHtml(alt)}</desc>${parts.join("")}</svg>`,
  ].join("");
}

function makePanel(
  pair: string,
  data: PlotlyTrace[],
  traces: PlotlyTrace[],
  layout: PlotlyLayout,
  spans: Map<string, Span>,
  area: Panel["box"],
): Panel {
  const [xId, yId] = pair.split(" ");
  const xAxis = axisOf(layout, xId);
  const yAxis = axisOf(layout, yId);
  const [x0, x1] = (xAxis.domain as [number, number]) ?? [0, 1];
  const [y0, y1] = (yAxis.domain as [number, number]) ?? [0, 1];
  const box = {
    left: area.left + x0 * (area.right - area.left),
    right: area.left + x1 * (area.right - area.left),
    top: area.bottom - y1 * (area.bottom - area.top),
    bottom: area.bottom - y0 * (area.bottom - area.top),
  };
  // `matches` shares a span between axes.
  const xSpan = spans.get((xAxis.matches as string) ?? xId) ?? spanOf(data, layout, xId);
  let x = makeScale(xSpan, box.left, box.right);
  let y = makeScale(spans.get(yId)!, box.bottom, box.top, yAxis.autorange === "reversed");
  if (yAxis.scaleanchor) {
    // Square cells: the smaller unit holds on both axes, and the box shrinks to fit.
    const unit = Math.min(x.unit, y.unit);
    box.right = box.left + ((box.right - box.left) * unit) / x.unit;
    box.bottom = box.top + ((box.bottom - box.top) * unit) / y.unit;
    x = makeScale(xSpan, box.left, box.right);
    y = makeScale(spans.get(yId)!, box.bottom, box.top, yAxis.autorange === "reversed");
  }
  return {
    x,
    y,
    xAxis,
    yAxis,
    box,
    traces: traces.filter((trace) => `${trace.xaxis ?? "x"} ${trace.yaxis ?? "y"}` === pair),
  };
}

function drawPanel(panel: Panel, layout: PlotlyLayout): string {
  const { x, y, box } = panel;
  const parts: string[] = [drawAxes(panel)];
  const barTraces = panel.traces.filter((trace) => trace.type === "bar");
  const stacked = new Map<string, number>();
  for (const trace of panel.traces) {
    if (trace.type === "heatmap") parts.push(drawHeatmap(trace, x, y));
    else if (trace.type === "bar") parts.push(drawBars(trace, barTraces, panel, layout, stacked));
    else parts.push(drawLine(trace, panel));
  }
  for (const shape of (layout.shapes ?? []) as Record<string, never>[]) {
    if ((shape.xref ?? "x") !== "paper" && panel.xAxis !== axisOf(layout, shape.xref ?? "x")) continue;
    if ((shape.yref ?? "y") !== "paper" && panel.yAxis !== axisOf(layout, shape.yref ?? "y")) continue;
    const vertical = shape.yref === "paper";
    const at = vertical ? x.place(shape.x0) : y.place(shape.y0);
    if (Number.isNaN(at)) continue;
    const d = vertical
      ? `M${n(at)} ${n(box.top)}V${n(box.bottom)}`
      : `M${n(box.left)} ${n(at)}H${n(box.right)}`;
    parts.push(`<path d="${d}" stroke="currentColor" stroke-width="1.5" stroke-dasharray="6 4"/>`);
    const { text: label, textposition: side } = (shape.label ?? {}) as {
      text?: string;
      textposition?: string;
    };
    if (label) {
      const right = vertical && at < box.left + 6.2 * textUnits(label) + 8;
      parts.push(
        vertical
          ? text(right ? at + 5 : at - 5, box.top + 11, label, { size: 11, anchor: right ? "start" : "end" })
          : text(side === "start" ? box.left + 4 : box.right - 4, at - 5, label, { size: 11, anchor: side }),
      );
    }
  }
  return parts.join("");
}
