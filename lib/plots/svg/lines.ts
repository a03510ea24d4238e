// Lines and points of a static picture, with what fills them, error bars and labels.
import type { PlotlyTrace } from "../plotly.ts";
import { positions } from "../ranges.ts";
import { attribute, markerColor, n, type Panel, text } from "./parts.ts";

const dashArrays: Record<string, string> = { dash: "8 4", dot: "2 3", dashdot: "8 3 2 3" };

export function drawLine(trace: PlotlyTrace, { x, y, box }: Pick<Panel, "x" | "y"> & Partial<Panel>): string {
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
  // An author's range may leave points out: what is beyond it by more than a marker is cut off.
  const isInside = ([px, py]: readonly number[]) =>
    !box || (px >= box.left - 1 && px <= box.right + 1 && py >= box.top - 1 && py <= box.bottom + 1);
  if (box && !marks.every(isInside)) {
    const [left, top, width, height] = [
      box.left - 7,
      box.top - 7,
      box.right - box.left + 14,
      box.bottom - box.top + 14,
    ].map(n);
    const place = `x="${left}" y="${top}" width="${width}" height="${height}"`;
    parts.unshift(`<svg ${place} viewBox="${left} ${top} ${width} ${height}">`);
    parts.push("</svg>");
  }
  if (mode.includes("text")) {
    const labels = (trace.text ?? []) as string[];
    for (const [px, py, i] of marks.filter(isInside)) {
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
