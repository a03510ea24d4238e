// How models and data frames show themselves in a notebook, by the convention of Symbol.for("Jupyter.display"). Tensors
// are left to the kernel, which shows those of any library and never reads a large one.

import { display } from "../util/display.ts";
import { escapeHtml } from "../util/html.ts";
import { tf } from "./tf.ts";

/** What a value shows of itself, by MIME type. */
type Bundle = Record<string, string>;

/** The part of danfojs's DataFrame and Series that showing one takes. */
interface Frame {
  $isSeries?: boolean;
  columns: string[];
  index: (string | number)[];
  values: unknown[];
  toString(): string;
}

const most = 50;

show(tf.LayersModel.prototype, describeModel);

/** Lets data frames of a loaded danfojs show themselves as tables. */
export function showDataFrames(danfo: {
  DataFrame: { prototype: object };
  Series: { prototype: object };
}): void {
  show(danfo.DataFrame.prototype, describeFrame);
  show(danfo.Series.prototype, describeFrame);
}

function show<T>(prototype: object, describe: (value: T) => Bundle): void {
  Object.defineProperty(prototype, display, {
    configurable: true,
    value(this: T) {
      return describe(this);
    },
  });
}

function describeModel(model: tf.LayersModel): Bundle {
  const rows = model.layers.map((layer) => {
    const shape = [layer.outputShape].flat().slice(1).join(" x ");
    return [layer.name, layer.getClassName(), shape, layer.countParams().toLocaleString("en")];
  });
  const title = `${model.name}: ${model.countParams().toLocaleString("en")} parameters`;
  return table(["layer", "kind", "output", "parameters"], rows, title);
}

function describeFrame(frame: Frame): Bundle {
  const rows = frame.values
    .slice(0, most)
    .map((row, i) => [frame.index[i], ...(Array.isArray(row) ? row : [row])].map(cell));
  const { length } = frame.values;
  return table(
    ["", ...frame.columns],
    rows,
    length > most ? `the first ${most} of ${length} rows` : undefined,
  );
}

function cell(value: unknown): string {
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(6)));
}

/** A table as HTML, and as text with columns that line up. */
function table(head: string[], rows: string[][], caption?: string): Bundle {
  const line = (tag: string, cells: string[]) =>
    `<tr>${cells.map((text) => `<${tag}>${escapeHtml(text)}</${tag}>`).join("")}</tr>`;
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i].length)));
  const text = [head, ...rows].map((row) =>
    row
      .map((part, i) => part.padEnd(widths[i]))
      .join("  ")
      .trimEnd(),
  );
  return {
    "text/plain": [...(caption ? [caption] : []), ...text].join("\n"),
    "text/html":
      `<table>${caption ? `<caption>${escapeHtml(caption)}</caption>` : ""}<thead>${line("th", head)}</thead>` +
      `<tbody>${rows.map((row) => line("td", row)).join("")}</tbody></table>`,
  };
}
