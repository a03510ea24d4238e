// Heat maps of a static picture, their numbers and the bar of their colours.
import { toBase64 } from "#platform";
import { escapeHtml } from "../../util/html.ts";
import { encodePng } from "../../util/png.ts";
import type { Datum, PlotlyTrace } from "../plotly.ts";
import { type NumberSpan, positions, ticks } from "../ranges.ts";
import { formatNumber } from "../text.ts";
import type { ColorScale } from "../theme.ts";
import { makeScale, n, type Scale, text } from "./parts.ts";

export function drawHeatmap(trace: PlotlyTrace, x: Scale, y: Scale): string {
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

export function drawColorbar(trace: PlotlyTrace, left: number, top: number, bottom: number): string {
  const scale = trace.colorscale as ColorScale;
  const rgba = new Uint8Array(64 * 4);
  for (let i = 0; i < 64; i++) rgba.set(colorAt(scale, 1 - i / 63), 4 * i);
  const png = toBase64(encodePng(1, 64, rgba));
  const span = colorSpan(trace);
  const place = makeScale(span, bottom, top).place;
  const labels = colorTicks(span).map(([tick, label]) => text(left + 18, place(tick) + 4, label));
  const title = colorTitle(trace);
  return `<image x="${n(left)}" y="${n(top)}" width="12" height="${n(bottom - top)}" preserveAspectRatio="none" href="data:image/png;base64,${png}"/>${labels.join("")}${
    title
      ? `<text transform="translate(${n(left + colorbarWidth(trace) - 6)} ${n((top + bottom) / 2)}) rotate(-90)" font-size="12" text-anchor="middle">${escapeHtml(title)}</text>`
      : ""
  }`;
}

/** What a colour bar takes, with the longest of its numbers and its title. */
export function colorbarWidth(trace: PlotlyTrace): number {
  const longest = Math.max(...colorTicks(colorSpan(trace)).map(([, label]) => label.length));
  return Math.max(46, 22 + 7 * longest) + (colorTitle(trace) ? 22 : 0);
}

const colorSpan = ({ zmin = 0, zmax = 1 }: PlotlyTrace & { zmin?: number; zmax?: number }): NumberSpan => ({
  log: false,
  range: [zmin, zmax],
  reversed: false,
});

const colorTicks = (span: NumberSpan) => ticks(span, 5).map((tick) => [tick, formatNumber(tick)] as const);

const colorTitle = (trace: PlotlyTrace) =>
  (trace.colorbar as { title?: { text?: string } } | undefined)?.title?.text;
