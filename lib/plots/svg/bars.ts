// Bars of a static picture: side by side, stacked or laid over each other, with their error bars and numbers.
import type { PlotlyLayout, PlotlyTrace } from "../plotly.ts";
import { positions } from "../ranges.ts";
import { formatNumber } from "../text.ts";
import { attribute, markerColor, n, type Panel, text } from "./parts.ts";

export function drawBars(
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
      } else if (
        trace.insidetextanchor === "start" &&
        Math.abs(to - from) > (horizontal ? 7 * label.length + 10 : 18)
      ) {
        // The other end is the error bar's.
        extras.push(
          text(
            horizontal ? from + 5 : middle,
            horizontal ? middle + 4 : from - (amount < 0 ? -14 : 6),
            label,
            {
              size: 11,
              anchor: horizontal ? "start" : "middle",
              fill: "#FFFFFF",
            },
          ),
        );
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
