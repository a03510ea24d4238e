// The static picture of a figure: axes, ticks, legend, bars, lines, heat maps and error bars, for the Plotly subset that
// the plots here write. It stands in where scripts do not run, in print, and until Plotly has loaded.

import { toBase64 } from "#platform";
import { escapeHtml } from "../util/html.ts";
import { encodePng } from "../util/png.ts";
import { type Datum, type PlotlyLayout, type PlotlyTrace, plainTitle } from "./plotly.ts";
import { axisOf, type NumberSpan, positions, type Span, spanOf, ticks } from "./ranges.ts";
import { formatNumber, textUnits, wrap } from "./text.ts";
import { type ColorScale, ink, palette } from "./theme.ts";

/** Options of {@link renderSvg}. */
export interface SvgOptions {
  /** Pixels of the drawing's coordinate system; the picture scales to its place. */
  width?: number;
  /** False leaves the title out of the picture (it stays in its description): a page may show it as a caption. */
  title?: boolean;
  /** Puts the picture's own words into the reader's language; the figure's are in it already. Default: English. */
  say?: (text: string) => string;
}

interface Scale {
  span: Span;
  /** Data to pixels; NaN where there is no place. */
  place(value: Datum): number;
  /** Pixels of one category, or of one unit. */
  unit: number;
}

interface Panel {
  x: Scale;
  y: Scale;
  xAxis: PlotlyLayout;
  yAxis: PlotlyLayout;
  box: { left: number; top: number; right: number; bottom: number };
  traces: PlotlyTrace[];
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
  const titleLines = titleText && options.title !== false ? wrap(titleText, Math.floor(width / 8.2)) : [];
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
          Math.min(width / 3, Math.max(...labels.map((label) => 6.6 * textUnits(label)), 8)) +
          (axisTitle(axis) ? 34 : 14)
        );
      }),
    30,
  );
  const colorbar = traces.find((trace) => trace.type === "heatmap" && trace.showscale !== false);
  const area = {
    left,
    right: width - (colorbar ? 88 : 18),
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
  for (const pair of pairs) parts.push(drawPanel(makePanel(pair, data, traces, layout, spans, area), layout));
  if (colorbar) parts.push(drawColorbar(colorbar, width - 70, area.top, area.bottom));
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

function makeScale(span: Span, from: number, to: number, reversed = false): Scale {
  if (span.names) {
    const { names } = span;
    const unit = Math.abs(to - from) / names.length;
    const index = new Map(names.map((name, i) => [name, i]));
    // Categories run away from the start; on a reversed vertical axis, downwards.
    const sign = reversed ? -Math.sign(to - from) : Math.sign(to - from);
    const start = reversed ? to : from;
    return {
      span,
      unit,
      place: (value) => start + sign * unit * ((index.get(String(value)) ?? Number.NaN) + 0.5),
    };
  }
  const [a, b] = reversed || span.reversed ? [span.range[1], span.range[0]] : span.range;
  const ratio = (to - from) / (b - a);
  return {
    span,
    unit: Math.abs(ratio),
    place: (value) =>
      typeof value !== "number" || (span.log && value <= 0)
        ? Number.NaN
        : from + ((span.log ? Math.log10(value) : value) - a) * ratio,
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
    else parts.push(drawLine(trace, x, y));
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

function drawAxes({ x, y, xAxis, yAxis, box }: Panel): string {
  if (xAxis.showticklabels === false && yAxis.showticklabels === false) return "";
  const parts: string[] = [];
  let gridlines = "";
  let rotated = false;
  if (x.span.names) {
    const widest = Math.max(...x.span.names.map((name) => 6.4 * textUnits(name)));
    rotated = widest > x.unit;
    const every = rotated ? Math.max(1, Math.ceil(14 / x.unit)) : 1;
    for (const [i, name] of x.span.names.entries()) {
      if (i % every !== 0) continue;
      const at = x.place(name);
      const clipped = rotated && name.length > 16 ? `${name.slice(0, 15)}…` : name;
      parts.push(
        rotated
          ? `<text transform="translate(${n(at + 3)} ${n(box.bottom + 12)}) rotate(-25)" font-size="10" text-anchor="end">${escapeHtml(clipped)}</text>`
          : text(at, box.bottom + 16, name, { anchor: "middle" }),
      );
    }
  } else {
    for (const tick of ticks(x.span, Math.max(2, (box.right - box.left) / 85))) {
      const at = x.place(tick);
      if (xAxis.showgrid !== false) gridlines += `M${n(at)} ${n(box.top)}V${n(box.bottom)}`;
      parts.push(
        text(at, box.bottom + 16, formatNumber(tick, xAxis.tickformat as string), { anchor: "middle" }),
      );
    }
  }
  if (y.span.names) {
    const every = Math.max(1, Math.ceil(13 / y.unit));
    for (const [i, name] of y.span.names.entries()) {
      if (i % every === 0) parts.push(text(box.left - 6, y.place(name) + 4, name, { anchor: "end" }));
    }
  } else {
    for (const tick of ticks(y.span, Math.max(2, (box.bottom - box.top) / 45))) {
      const at = y.place(tick);
      if (yAxis.showgrid !== false) gridlines += `M${n(box.left)} ${n(at)}H${n(box.right)}`;
      parts.push(
        text(box.left - 6, at + 4, formatNumber(tick, yAxis.tickformat as string), { anchor: "end" }),
      );
    }
  }
  const xTitle = axisTitle(xAxis);
  const yTitle = axisTitle(yAxis);
  if (xTitle)
    parts.push(text((box.left + box.right) / 2, box.bottom + 36, xTitle, { anchor: "middle", size: 13 }));
  if (yTitle) {
    const middle = (box.top + box.bottom) / 2;
    parts.push(
      `<text transform="translate(14 ${n(middle)}) rotate(-90)" font-size="13" text-anchor="middle">${escapeHtml(yTitle)}</text>`,
    );
  }
  parts.unshift(
    `<path d="${gridlines}" stroke="currentColor" stroke-opacity="0.25"/>`,
    `<path d="M${n(box.left)} ${n(box.top)}V${n(box.bottom)}H${n(box.right)}" fill="none" stroke="currentColor" stroke-opacity="0.6"/>`,
  );
  return parts.join("");
}

function drawBars(
  trace: PlotlyTrace,
  all: PlotlyTrace[],
  { x, y, box }: Panel,
  layout: PlotlyLayout,
  stacked: Map<string, number>,
): string {
  const horizontal = trace.orientation === "h";
  const [across, along] = horizontal ? [y, x] : [x, y];
  const places = positions(trace, horizontal ? "y" : "x");
  const amounts = (horizontal ? trace.x : trace.y) as (number | null)[];
  const grouped = layout.barmode !== "overlay" && layout.barmode !== "stack";
  const slots = grouped ? all.length : 1;
  const gap = (layout.bargap as number) ?? 0.2;
  const thick = (across.unit * (across.span.names ? 1 : (trace.dx ?? 1)) * (1 - gap)) / slots;
  const shift = grouped ? (all.indexOf(trace) - (slots - 1) / 2) * thick : 0;
  const floor = horizontal ? box.left : box.bottom;
  // An axis that does not reach zero: its bars stand on the edge of the box.
  const at = along.place(0);
  const zero = horizontal
    ? Math.min(box.right, Math.max(box.left, at))
    : Math.min(box.bottom, Math.max(box.top, at));
  const fill = markerColor(trace);
  const error = (trace[`error_${horizontal ? "x" : "y"}`] as { array?: (number | null)[] } | undefined)
    ?.array;
  let bars = "";
  const extras: string[] = [];
  for (const [i, amount] of amounts.entries()) {
    if (amount === null) continue;
    const middle = across.place(places[i]) + shift;
    const key = String(places[i]);
    const base = layout.barmode === "stack" ? (stacked.get(key) ?? 0) : 0;
    stacked.set(key, base + amount);
    const from = base === 0 ? (Number.isNaN(zero) ? floor : zero) : along.place(base);
    const to = along.place(base + amount);
    if (Number.isNaN(to) || Number.isNaN(middle)) continue;
    bars += horizontal
      ? `M${n(from)} ${n(middle - thick / 2)}h${n(to - from)}v${n(thick)}h${n(from - to)}z`
      : `M${n(middle - thick / 2)} ${n(from)}h${n(thick)}V${n(to)}h${n(-thick)}z`;
    if (error?.[i]) {
      const a = along.place(amount - error[i]);
      const b = along.place(amount + error[i]);
      extras.push(
        horizontal
          ? `<path d="M${n(a)} ${n(middle)}H${n(b)}" stroke="currentColor" stroke-width="2"/>`
          : `<path d="M${n(middle)} ${n(a)}V${n(b)}m-4 0h8M${n(middle - 4)} ${n(a)}h8" stroke="currentColor" stroke-width="2"/>`,
      );
    }
    if (trace.texttemplate) {
      const label = formatNumber(amount, /:([^}]*)\}/.exec(trace.texttemplate as string)?.[1]);
      if (layout.barmode === "stack") {
        const room = Math.abs(to - from);
        if (room > (horizontal ? 6.6 * label.length : 14)) {
          const mid = (from + to) / 2;
          extras.push(
            text(horizontal ? mid : middle, horizontal ? middle + 4 : mid + 4, label, {
              size: 11,
              anchor: "middle",
              fill: "#FFFFFF",
            }),
          );
        }
      } else if (horizontal) {
        const inside = to + 7 * label.length + 6 > box.right;
        extras.push(
          text(inside ? to - 5 : to + 5, middle + 4, label, {
            size: 11,
            anchor: inside ? "end" : "start",
            ...(inside && { fill: "#FFFFFF" }),
          }),
        );
      } else if (6.4 * label.length <= across.unit / slots) {
        const up = error?.[i] ? along.place(amount + error[i]) : to;
        extras.push(
          text(middle, amount < 0 ? to + 13 : Math.max(up - 5, box.top + 9), label, {
            size: 11,
            anchor: "middle",
          }),
        );
      }
    }
  }
  return `<path d="${bars}" fill="${attribute(fill)}" fill-opacity="${attribute(trace.opacity ?? 1)}"/>${extras.join("")}`;
}

const dashArrays: Record<string, string> = { dash: "8 4", dot: "2 3", dashdot: "8 3 2 3" };

function drawLine(trace: PlotlyTrace, x: Scale, y: Scale): string {
  const xs = positions(trace, "x");
  const ys = positions(trace, "y");
  const mode = (trace.mode as string) ?? "lines";
  const line = (trace.line ?? {}) as { color?: string; width?: number; dash?: string; shape?: string };
  const stroke = line.color ?? markerColor(trace);
  let path = "";
  let pen = false;
  let lastX = 0;
  let lastY = 0;
  const marks: [number, number, number][] = [];
  for (let i = 0; i < xs.length; i++) {
    const px = x.place(xs[i]);
    const py = y.place(ys[i]);
    if (Number.isNaN(px) || Number.isNaN(py)) {
      pen = false;
      continue;
    }
    if (pen && line.shape === "hv") path += `H${n(px)}`;
    else if (pen && line.shape === "hvh") path += `H${n((lastX + px) / 2)}V${n(py)}`;
    else if (pen && line.shape === "vh") path += `V${n(py)}`;
    // Points that fall on the same pixel add nothing but bytes.
    if (!pen || Math.abs(px - lastX) + Math.abs(py - lastY) >= 0.5)
      path += `${pen ? "L" : "M"}${n(px)} ${n(py)}`;
    pen = true;
    lastX = px;
    lastY = py;
    marks.push([px, py, i]);
  }
  const parts: string[] = [];
  if (trace.fill === "tozeroy" && marks.length > 0) {
    const zero = n(y.place(0));
    parts.push(
      `<path d="${path}V${zero}H${n(marks[0][0])}z" fill="${attribute(trace.fillcolor ?? stroke)}"/>`,
    );
  }
  if (trace.fill === "toself")
    parts.push(`<path d="${path}z" fill="${attribute(trace.fillcolor ?? stroke)}"/>`);
  if (mode.includes("lines") && line.width !== 0) {
    const dash = dashArrays[line.dash ?? ""];
    parts.push(
      `<path d="${path}" fill="none" stroke="${attribute(stroke)}" stroke-width="${attribute(line.width ?? 2)}" stroke-linejoin="round"${dash ? ` stroke-dasharray="${dash}"` : ""}/>`,
    );
  }
  const error = (trace.error_y as { array?: (number | null)[] } | undefined)?.array;
  if (error) {
    const bars = marks.map(([px, , i]) => {
      const top = y.place((ys[i] as number) + (error[i] ?? 0));
      const bottom = y.place((ys[i] as number) - (error[i] ?? 0));
      return Number.isNaN(bottom)
        ? ""
        : `M${n(px)} ${n(bottom)}V${n(top)}m-3 0h6M${n(px - 3)} ${n(bottom)}h6`;
    });
    parts.push(`<path d="${bars.join("")}" stroke="${attribute(stroke)}" stroke-width="1.5" fill="none"/>`);
  }
  if (mode.includes("markers")) {
    const { symbol = "circle", size = 7 } = (trace.marker ?? {}) as { symbol?: string; size?: number };
    parts.push(
      `<path d="${marks.map(([px, py]) => marker(symbol, px, py, size / 2)).join("")}" fill="${attribute(markerColor(trace))}"/>`,
    );
  }
  if (mode.includes("text")) {
    const labels = (trace.text ?? []) as string[];
    for (const [px, py, i] of marks) {
      const { textposition } = trace;
      const [vertical, side] = String(Array.isArray(textposition) ? textposition[i] : textposition).split(
        " ",
      );
      // Beside a marker a label keeps clear of it; above and below it is so already.
      const clear = vertical === "middle" ? 10 : 6;
      const shift = side === "right" ? clear : side === "left" ? -clear : 0;
      const anchor = side === "right" ? "start" : side === "left" ? "end" : "middle";
      parts.push(
        text(
          px + shift,
          vertical === "bottom" ? py + 16 : vertical === "top" ? py - 8 : py + 4,
          labels[i] ?? "",
          { size: 11, anchor },
        ),
      );
    }
  }
  return parts.join("");
}

function marker(symbol: string, x: number, y: number, r: number): string {
  switch (symbol) {
    case "square":
      return `M${n(x - r)} ${n(y - r)}h${n(2 * r)}v${n(2 * r)}h${n(-2 * r)}z`;
    case "diamond":
      return `M${n(x)} ${n(y - 1.3 * r)}l${n(1.3 * r)} ${n(1.3 * r)}l${n(-1.3 * r)} ${n(1.3 * r)}l${n(-1.3 * r)} ${n(-1.3 * r)}z`;
    case "triangle-up":
      return `M${n(x)} ${n(y - 1.2 * r)}l${n(1.2 * r)} ${n(2.1 * r)}h${n(-2.4 * r)}z`;
    case "cross":
      return `M${n(x - r)} ${n(y - 0.35 * r)}h${n(2 * r)}v${n(0.7 * r)}h${n(-2 * r)}zM${n(x - 0.35 * r)} ${n(y - r)}h${n(0.7 * r)}v${n(2 * r)}h${n(-0.7 * r)}z`;
    case "x":
      return `M${n(x - r)} ${n(y - 0.6 * r)}l${n(0.4 * r)} ${n(-0.4 * r)}l${n(1.6 * r)} ${n(1.6 * r)}l${n(-0.4 * r)} ${n(0.4 * r)}zM${n(x + 0.6 * r)} ${n(y - r)}l${n(0.4 * r)} ${n(0.4 * r)}l${n(-1.6 * r)} ${n(1.6 * r)}l${n(-0.4 * r)} ${n(-0.4 * r)}z`;
    default:
      return `M${n(x - r)} ${n(y)}a${n(r)} ${n(r)} 0 1 0 ${n(2 * r)} 0a${n(r)} ${n(r)} 0 1 0 ${n(-2 * r)} 0z`;
  }
}

function drawHeatmap(trace: PlotlyTrace, x: Scale, y: Scale): string {
  const z = trace.z!;
  const rows = z.length;
  const cols = z[0].length;
  const { zmin = 0, zmax = 1 } = trace as { zmin?: number; zmax?: number };
  const rgba = new Uint8Array(rows * cols * 4);
  const scale = trace.colorscale as ColorScale;
  const upsideDown = y.place(positions(trace, "y")[0]) > y.place(positions(trace, "y")[rows - 1]);
  for (let r = 0; r < rows; r++) {
    const line = z[upsideDown ? rows - 1 - r : r];
    for (let c = 0; c < cols; c++) {
      const value = line[c];
      if (value === null) continue; // a gap stays transparent
      rgba.set(colorAt(scale, (value - zmin) / (zmax - zmin)), (r * cols + c) * 4);
    }
  }
  const edge = (s: Scale, places: Datum[], step: number) => {
    const ends = [s.place(places[0]), s.place(places.at(-1)!)];
    const half = (s.unit * (s.span.names ? 1 : step)) / 2;
    return [Math.min(...ends) - half, Math.max(...ends) + half];
  };
  const [left, right] = edge(x, positions(trace, "x"), trace.dx ?? 1);
  const [top, bottom] = edge(y, positions(trace, "y"), trace.dy ?? 1);
  const png = toBase64(encodePng(cols, rows, rgba));
  const picture = `<image x="${n(left)}" y="${n(top)}" width="${n(right - left)}" height="${n(bottom - top)}" preserveAspectRatio="none" style="image-rendering:pixelated" href="data:image/png;base64,${png}"/>`;
  return picture + (trace.texttemplate ? cellNumbers(trace, x, y) : "");
}

/** The numbers of a small heat map, dark on light cells and light on dark ones. */
function cellNumbers(trace: PlotlyTrace, x: Scale, y: Scale): string {
  const { zmin = 0, zmax = 1 } = trace as { zmin?: number; zmax?: number };
  const format = /:([^}]*)\}/.exec(trace.texttemplate as string)?.[1];
  const [xs, ys] = [positions(trace, "x"), positions(trace, "y")];
  return trace
    .z!.flatMap((line, r) =>
      line.map((value, c) => {
        if (value === null) return "";
        const [red, green, blue] = colorAt(trace.colorscale as ColorScale, (value - zmin) / (zmax - zmin));
        const light = 0.299 * red + 0.587 * green + 0.114 * blue > 140;
        return text(x.place(xs[c]), y.place(ys[r]) + 4, formatNumber(value, format), {
          ...{ size: 11, anchor: "middle", fill: light ? "#000000" : "#FFFFFF" },
        });
      }),
    )
    .join("");
}

function colorAt(scale: ColorScale, share: number): number[] {
  const t = Math.min(1, Math.max(0, share));
  let i = 1;
  while (i < scale.length - 1 && t > scale[i][0]) i++;
  const [from, a] = scale[i - 1];
  const [to, b] = scale[i];
  const mix = Math.min(1, Math.max(0, (t - from) / (to - from)));
  const channel = (color: string, at: number) => Number.parseInt(color.slice(1 + 2 * at, 3 + 2 * at), 16);
  return [...[0, 1, 2].map((at) => Math.round(channel(a, at) * (1 - mix) + channel(b, at) * mix)), 255];
}

function drawColorbar(trace: PlotlyTrace, left: number, top: number, bottom: number): string {
  const scale = trace.colorscale as ColorScale;
  const { zmin = 0, zmax = 1 } = trace as { zmin?: number; zmax?: number };
  const rgba = new Uint8Array(64 * 4);
  for (let i = 0; i < 64; i++) rgba.set(colorAt(scale, 1 - i / 63), 4 * i);
  const png = toBase64(encodePng(1, 64, rgba));
  const span: NumberSpan = { log: false, range: [zmin, zmax], reversed: false };
  const place = makeScale(span, bottom, top).place;
  const labels = ticks(span, 5).map((tick) => text(left + 18, place(tick) + 4, formatNumber(tick)));
  const title = (trace.colorbar as { title?: { text?: string } } | undefined)?.title?.text;
  return `<image x="${n(left)}" y="${n(top)}" width="12" height="${n(bottom - top)}" preserveAspectRatio="none" href="data:image/png;base64,${png}"/>${labels.join("")}${
    title
      ? `<text transform="translate(${n(left + 64)} ${n((top + bottom) / 2)}) rotate(-90)" font-size="12" text-anchor="middle">${escapeHtml(title)}</text>`
      : ""
  }`;
}

interface LegendItem {
  name: string;
  trace: PlotlyTrace;
  at: number;
}

function legendRows(traces: PlotlyTrace[], layout: PlotlyLayout, width: number): LegendItem[][] {
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

function drawLegendRow(row: LegendItem[], left: number, y: number): string {
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
  const line = drawLine(
    { ...rest, mode: String(trace.mode).includes("lines") ? "lines" : "none", x: [0, 26], y: [0, 0] },
    scale(x),
    scale(y),
  );
  const mark = drawLine(
    { ...rest, mode: String(trace.mode).includes("markers") ? "markers" : "none", x: [13], y: [0] },
    scale(x),
    scale(y),
  );
  return line + mark;
}

function sliderNote(layout: PlotlyLayout, say = (text: string) => text): string {
  const slider = (
    layout.sliders as
      | { active?: number; steps: { label: string }[]; currentvalue?: { prefix?: string } }[]
      | undefined
  )?.[0];
  if (!slider) return "";
  const active = slider.active ?? 0;
  const place = say(`(${active + 1} of ${slider.steps.length}; the interactive chart shows all)`);
  return `${slider.currentvalue?.prefix ?? ""}${slider.steps[active].label} ${place}`;
}

function axisTitle(axis: PlotlyLayout): string {
  return (axis.title as { text?: string } | undefined)?.text ?? "";
}

/** A value of a figure's JSON, which may come from anybody's file, as the text of an attribute. */
function attribute(value: unknown): string {
  return escapeHtml(String(value));
}

function markerColor(trace: PlotlyTrace): string {
  return (
    (trace.marker as { color?: string } | undefined)?.color ??
    (trace.line as { color?: string } | undefined)?.color ??
    palette[0]
  );
}

function text(
  x: number,
  y: number,
  content: string,
  style: { size?: number; anchor?: string; weight?: number; style?: string; fill?: string } = {},
): string {
  const attributes = [
    `x="${n(x)}" y="${n(y)}" font-size="${n(style.size ?? 12)}"`,
    style.anchor && style.anchor !== "start" ? `text-anchor="${attribute(style.anchor)}"` : "",
    style.weight ? `font-weight="${attribute(style.weight)}"` : "",
    style.style ? `font-style="${attribute(style.style)}"` : "",
    style.fill ? `fill="${attribute(style.fill)}"` : "",
  ];
  return `<text ${attributes.filter(Boolean).join(" ")}>${escapeHtml(content)}</text>`;
}

/** A coordinate: a tenth of a pixel is enough. */
function n(value: number): string {
  return String(Math.round(value * 10) / 10);
}
