// A matrix as a picture: masks, weights, errors, confusion.
import { checkInteger, checkLength, checkOneOf } from "../util/check.ts";
import type { Figure } from "./figure.ts";
import { checkValues, makeFigure, type PlotOptions, short } from "./options.ts";
import { scales } from "./theme.ts";

/** Options of {@link heatmap}. */
export interface HeatmapOptions extends PlotOptions {
  rows: number;
  cols: number;
  /** `mask` for 0 and 1 (default for Uint8Array), `diverging` about zero (default where there are negatives), `sequential`, or `ink` for digits. */
  scale?: keyof typeof scales;
  /** What a cell's value is, on the colour bar. */
  label?: string;
  /** A larger matrix is averaged over equal blocks until neither side has more cells than this, 8 to 512. */
  maxSide?: number;
  /** The ends of the colour scale. Default: from the data (0 and 1 for a mask). */
  range?: [number, number];
  rowNames?: string[];
  colNames?: string[];
  /** Cells as squares (pictures) rather than filling the width. */
  square?: boolean;
}

/**
 * A heat map of a row-major matrix, row 0 on top. Large matrices are averaged over blocks: for a mask a cell then shows
 * the share that is kept, which is what the eye would see anyway.
 *
 * @param values rows × cols numbers
 * @throws RangeError for a length that is not rows × cols, NaN or Infinity
 */
export function heatmap(values: ArrayLike<number>, options: HeatmapOptions): Figure {
  const rows = checkInteger("rows", options?.rows, 1);
  const cols = checkInteger("cols", options.cols, 1);
  const maxSide = checkInteger("maxSide", options.maxSide ?? 128, 8, 512);
  checkLength("values", values, rows * cols);
  checkValues("values", values);
  let [lowest, highest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < values.length; i++) {
    lowest = Math.min(lowest, values[i]);
    highest = Math.max(highest, values[i]);
  }
  const [min, max] = [Math.min(0, lowest), Math.max(0, highest)]; // a scale begins at 0, if it is not told otherwise
  const scale = checkOneOf(
    "scale",
    options.scale ??
      (values instanceof Uint8Array && max <= 1 ? "mask" : min < 0 ? "diverging" : "sequential"),
    Object.keys(scales) as (keyof typeof scales)[],
  );
  const bound = Math.max(-min, max) || 1;
  const [low, high] =
    options.range ??
    (scale === "mask" ? [0, 1] : scale === "diverging" ? [-bound, bound] : [min, max > min ? max : min + 1]);

  const rowStep = Math.ceil(rows / maxSide);
  const colStep = Math.ceil(cols / maxSide);
  const averaged = rowStep > 1 || colStep > 1;
  // Of a mean over a block nobody wants to read five digits, and shades a 200th apart look the same.
  const step = (high - low) / 200;
  const rounded = (value: number) =>
    averaged ? Number((low + Math.round((value - low) / step) * step).toPrecision(4)) : short(value);
  const z: (number | null)[][] = [];
  for (let r0 = 0; r0 < rows; r0 += rowStep) {
    const r1 = Math.min(rows, r0 + rowStep);
    const line: (number | null)[] = [];
    for (let c0 = 0; c0 < cols; c0 += colStep) {
      const c1 = Math.min(cols, c0 + colStep);
      let sum = 0;
      for (let r = r0; r < r1; r++) for (let c = c0; c < c1; c++) sum += values[r * cols + c];
      const mean = sum / ((r1 - r0) * (c1 - c0));
      line.push(rounded(mean));
    }
    z.push(line);
  }
  const label = options.label ?? (scale === "mask" ? (averaged ? "share kept" : "kept") : "value");
  if (options.rowNames) checkLength("rowNames", options.rowNames, rows);
  if (options.colNames) checkLength("colNames", options.colNames, cols);
  return makeFigure(
    [
      {
        type: "heatmap",
        z,
        // Cell centres in the indices of the full matrix.
        ...(options.colNames && colStep === 1
          ? { x: options.colNames }
          : { x0: (colStep - 1) / 2, dx: colStep }),
        ...(options.rowNames && rowStep === 1
          ? { y: options.rowNames }
          : { y0: (rowStep - 1) / 2, dy: rowStep }),
        zmin: low,
        zmax: high,
        colorscale: scales[scale],
        showscale: scale !== "ink",
        // Few cells with names are a table, and a table has numbers.
        ...(options.rowNames &&
          rows * cols <= 64 && {
            texttemplate: bound > 1 ? "%{z:.3~g}" : "%{z:.2~g}",
            textfont: { size: 11 },
          }),
        colorbar: {
          exponentformat: "power",
          title: { text: label, side: "right" },
          thickness: 12,
          outlinewidth: 0,
          len: 1,
        },
        hovertemplate: `row %{y}, column %{x}: %{z}<extra>${averaged ? `mean of ${rowStep}×${colStep}` : ""}</extra>`,
      },
    ],
    options,
    {
      x: { label: "column" },
      y: { label: "row" },
      height: options.square ? 320 : 380,
      alt: `Heat map of ${rows} × ${cols} values from ${Number(lowest.toPrecision(3))} to ${Number(highest.toPrecision(3))}${averaged ? `, each cell the mean of ${rowStep} × ${colStep}` : ""}`,
      layout: {},
    },
  ).with((layout) => {
    const x = layout.xaxis as Record<string, unknown>;
    const y = layout.yaxis as Record<string, unknown>;
    x.showgrid = y.showgrid = x.zeroline = y.zeroline = false;
    y.autorange = "reversed";
    if (options.square) Object.assign(y, { scaleanchor: "x", constrain: "domain" });
    // Beside its colour bar, which stays at the right edge however narrow the picture is.
    if (options.square) Object.assign(x, { constrain: "domain", constraintoward: "right" });
  });
}
