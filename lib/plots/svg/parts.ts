// What every part of a static picture is made of: scales from data to pixels, text, coordinates, colours.
import { escapeHtml } from "../../util/html.ts";
import type { Datum, PlotlyLayout, PlotlyTrace } from "../plotly.ts";
import type { Span } from "../ranges.ts";
import { palette } from "../theme.ts";

export interface Scale {
  span: Span;
  /** Data to pixels; NaN where there is no place. */
  place(value: Datum): number;
  /** Pixels of one category, or of one unit. */
  unit: number;
}

export interface Panel {
  x: Scale;
  y: Scale;
  xAxis: PlotlyLayout;
  yAxis: PlotlyLayout;
  box: { left: number; top: number; right: number; bottom: number };
  traces: PlotlyTrace[];
}

export function makeScale(span: Span, from: number, to: number, reversed = false): Scale {
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

/** A value of a figure's JSON, which may come from anybody's file, as the text of an attribute. */
export function attribute(value: unknown): string {
  return escapeHtml(String(value));
}

export function markerColor(trace: PlotlyTrace): string {
  return (
    (trace.marker as { color?: string } | undefined)?.color ??
    (trace.line as { color?: string } | undefined)?.color ??
    palette[0]
  );
}

export function text(
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
export function n(value: number): string {
  return String(Math.round(value * 10) / 10);
}
