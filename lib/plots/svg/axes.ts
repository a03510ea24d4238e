// The axes of a static picture: grid, ticks and titles.
import { escapeHtml } from "../../util/html.ts";
import type { PlotlyLayout } from "../plotly.ts";
import { ticks } from "../ranges.ts";
import { formatNumber, textUnits } from "../text.ts";
import { n, type Panel, text } from "./parts.ts";

export function drawAxes({ x, y, xAxis, yAxis, box }: Panel): string {
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
    for (const tick of marked(xAxis) ?? ticks(x.span, Math.max(2, (box.right - box.left) / 85))) {
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
    for (const tick of marked(yAxis) ?? ticks(y.span, Math.max(2, (box.bottom - box.top) / 45))) {
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

/** Places that a figure names itself. */
const marked = (axis: PlotlyLayout) => axis.tickvals as number[] | undefined;

export function axisTitle(axis: PlotlyLayout): string {
  return (axis.title as { text?: string } | undefined)?.text ?? "";
}
