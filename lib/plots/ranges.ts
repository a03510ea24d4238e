// What an axis spans: found here once, for the SVG and for sliders whose frames must share their axes.
import type { Datum, PlotlyLayout, PlotlyTrace } from "./plotly.ts";

/** The span of an axis: category names in order, or numbers. */
export type Span = { names: string[] } | NumberSpan;

/** From and to; for a log axis, their base-10 logarithms. */
export interface NumberSpan {
  names?: undefined;
  log: boolean;
  range: [number, number];
  reversed: boolean;
}

/** `x2` names the layout's `xaxis2`. */
export function axisOf(layout: PlotlyLayout, id: string): PlotlyLayout {
  return (layout[`${id[0]}axis${id.slice(1)}`] ?? {}) as PlotlyLayout;
}

/** A trace's positions along x or y, also where only x0 and dx are given. */
export function positions(trace: PlotlyTrace, along: "x" | "y"): Datum[] {
  const given = trace[along];
  if (given) return given;
  const count =
    trace.type === "heatmap"
      ? along === "x"
        ? (trace.z?.[0]?.length ?? 0)
        : (trace.z?.length ?? 0)
      : ((along === "x" ? trace.y : trace.x)?.length ?? 0);
  const [start, step] = along === "x" ? [trace.x0 ?? 0, trace.dx ?? 1] : [trace.y0 ?? 0, trace.dy ?? 1];
  return Array.from({ length: count }, (_, i) => start + i * step);
}

/** The span of axis `id` (`x`, `y2`, …): the layout's range where there is one, else what the visible traces need. */
export function spanOf(data: PlotlyTrace[], layout: PlotlyLayout, id: string): Span {
  const along = id[0] as "x" | "y";
  const axis = axisOf(layout, id);
  const traces = data.filter(
    (trace) => trace.visible !== false && ((trace[`${along}axis`] as string) ?? along) === id,
  );
  const isCategory =
    axis.type === "category" ||
    traces.some((trace) => positions(trace, along).some((v) => typeof v === "string"));
  if (isCategory) {
    return { names: [...new Set(traces.flatMap((trace) => positions(trace, along).map(String)))] };
  }
  const log = axis.type === "log";
  const reversed = axis.autorange === "reversed";
  if (axis.range) return { log, range: axis.range as [number, number], reversed };

  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let pad = 0.05;
  const include = (value: number) => {
    if (!Number.isFinite(value) || (log && value <= 0)) return;
    const place = log ? Math.log10(value) : value;
    min = Math.min(min, place);
    max = Math.max(max, place);
  };
  let barBase = false;
  for (const trace of traces) {
    const values = positions(trace, along) as (number | null)[];
    const amount = trace.type === "bar" && (trace.orientation === "h") === (along === "x");
    const step = along === "x" ? (trace.dx ?? 1) : (trace.dy ?? 1);
    const edges = trace.type === "heatmap" || (trace.type === "bar" && !amount);
    if (edges) pad = 0;
    const filled = trace.fill === "tozeroy" && along === "y";
    if ((amount || filled) && !log) barBase = true;
    const error = (trace[`error_${along}`] as { array?: (number | null)[] } | undefined)?.array;
    for (const [i, value] of values.entries()) {
      if (value === null) continue;
      const reach = edges ? step / 2 : (error?.[i] ?? 0);
      include(value);
      include(value + reach);
      include(value - reach);
    }
  }
  if (barBase && layout.barmode === "stack") {
    const totals = new Map<Datum, number>();
    const other = along === "x" ? "y" : "x";
    for (const trace of traces) {
      const places = positions(trace, other);
      for (const [i, value] of ((trace[along] ?? []) as (number | null)[]).entries()) {
        totals.set(places[i], (totals.get(places[i]) ?? 0) + (value ?? 0));
      }
    }
    for (const total of totals.values()) include(total);
  }
  for (const shape of (layout.shapes ?? []) as Record<string, unknown>[]) {
    if ((shape[`${along}ref`] ?? along) === id) include(shape[`${along}0`] as number);
  }
  if (barBase) include(0);
  if (min > max) [min, max] = log ? [0, 1] : [0, 1];
  if (min === max)
    [min, max] = log
      ? [min - 0.5, max + 0.5]
      : [min - (Math.abs(min) || 1) / 2, max + (Math.abs(max) || 1) / 2];
  const margin = (max - min) * pad;
  const range: [number, number] = [
    barBase && min === 0 ? 0 : min - margin,
    barBase && max === 0 ? 0 : max + margin,
  ];
  return { log, range, reversed };
}

/** Round numbers within a span, about `wanted` of them. On a log span they are powers of ten, thinned or filled as needed. */
export function ticks(span: NumberSpan, wanted: number): number[] {
  const low = Math.min(...span.range);
  const high = Math.max(...span.range);
  if (span.log) {
    const decades: number[] = [];
    const step = Math.max(1, Math.ceil((high - low) / wanted));
    for (let power = Math.ceil(low - 1e-9); power <= high + 1e-9; power++) {
      if (power % step === 0) decades.push(10 ** power);
    }
    if (decades.length >= 2) return decades;
    const finer: number[] = [];
    for (let power = Math.floor(low); power <= high; power++) {
      for (const digit of [1, 2, 5]) {
        const place = Math.log10(digit) + power;
        if (place >= low - 1e-9 && place <= high + 1e-9) finer.push(digit * 10 ** power);
      }
    }
    return finer;
  }
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((digit) => digit * power >= rough * 0.999)! * power;
  const found: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++)
    found.push(Number((i * step).toPrecision(12)));
  return found;
}
