// Pictures side by side: digits, filters, what a network got wrong.
import { checkInteger, checkLength } from "../util/check.ts";
import type { Figure } from "./figure.ts";
import { type HeatmapOptions, heatmap } from "./heatmap.ts";
import { checkValues } from "./options.ts";
import { ink } from "./theme.ts";

/** Options of {@link images}. `height` is the figure's. */
export interface ImagesOptions
  extends Pick<HeatmapOptions, "title" | "alt" | "height" | "scale" | "range" | "label"> {
  /** Pixels of a picture from top to bottom, and from left to right. */
  rows: number;
  cols: number;
  /** Pictures side by side. Default: at most 10. */
  perRow?: number;
  /** A short text above each picture. */
  labels?: readonly string[];
}

/**
 * Pictures of one size in a grid, on one scale (default: `ink`, or `diverging` where there are negatives).
 *
 * @param pixels the pictures one after the other, row-major
 * @throws RangeError for pixels that are no whole number of pictures, NaN or Infinity
 */
export function images(pixels: ArrayLike<number>, options: ImagesOptions): Figure {
  const rows = checkInteger("rows", options?.rows, 1, 256);
  const cols = checkInteger("cols", options.cols, 1, 256);
  const count = pixels.length / (rows * cols);
  if (count === 0 || !Number.isInteger(count)) {
    throw new RangeError(
      `pixels must be a whole number of pictures of ${rows} × ${cols}, got ${pixels.length} values`,
    );
  }
  checkValues("pixels", pixels);
  if (options.labels) checkLength("labels", options.labels, count);
  const perRow = checkInteger("perRow", options.perRow ?? Math.min(count, 10), 1, 100);
  const lines = Math.ceil(count / perRow);
  // Between pictures lies a gap; labels need room for a line of text.
  const gap = Math.max(1, Math.round(cols / 14));
  const head = options.labels ? Math.max(3, Math.round(rows / 3)) : gap;
  const height = lines * (rows + head);
  const width = perRow * (cols + gap) - gap;
  let min = 0;
  let max = 0;
  for (let i = 0; i < pixels.length; i++) {
    min = Math.min(min, pixels[i]);
    max = Math.max(max, pixels[i]);
  }
  const canvas = new Float64Array(height * width).fill(Number.NaN);
  for (let image = 0; image < count; image++) {
    const top = Math.floor(image / perRow) * (rows + head) + head;
    const left = (image % perRow) * (cols + gap);
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < cols; c++) {
        canvas[(top + r) * width + left + c] = pixels[(image * rows + r) * cols + c];
      }
    }
  }
  const { labels, perRow: _, ...rest } = options;
  const figure = heatmap(
    canvas.map((value) => (Number.isNaN(value) ? 0 : value)),
    {
      ...rest,
      rows: height,
      cols: width,
      maxSide: 512,
      square: true,
      scale: options.scale ?? (min < 0 ? "diverging" : "ink"),
      range: options.range ?? (min < 0 ? [-Math.max(-min, max), Math.max(-min, max)] : [min, max || 1]),
      height: options.height ?? Math.min(900, Math.max(160, Math.round((620 * height) / width) + 60)),
      alt:
        options.alt ??
        `${options.title ? `${options.title}. ` : ""}${count} pictures of ${rows} × ${cols} pixels${labels ? `: ${labels.slice(0, 20).join(", ")}` : ""}`,
    },
  );
  const [trace] = figure.data;
  for (const [r, line] of trace.z!.entries()) {
    for (let c = 0; c < line.length; c++) if (Number.isNaN(canvas[r * width + c])) line[c] = null;
  }
  trace.hovertemplate = "%{z}<extra></extra>";
  if (labels) {
    figure.data.push({
      type: "scatter",
      mode: "text",
      x: labels.map((_, i) => (i % perRow) * (cols + gap) + (cols - 1) / 2),
      y: labels.map((_, i) => Math.floor(i / perRow) * (rows + head) + head * 0.75),
      text: [...labels],
      textfont: { color: ink, size: 12 },
      hoverinfo: "skip",
      showlegend: false,
    });
  }
  return figure.with((layout) => {
    for (const key of ["xaxis", "yaxis"]) {
      const axis = layout[key] as Record<string, unknown>;
      Object.assign(axis, { title: { text: "" }, showticklabels: false, ticks: "", showline: false });
    }
    // The text's own reach must not move the pictures.
    (layout.xaxis as Record<string, unknown>).range = [-0.5, width - 0.5];
    Object.assign(layout.yaxis as object, { range: [height - 0.5, -0.5], autorange: undefined });
  });
}
