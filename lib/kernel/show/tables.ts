// Tables for values that are tables: data frames, tensors, Maps, arrays of records. Known by their shape, not by their
// class: the kernel knows no library.
import type { MimeBundle } from "../../util/display.ts";
import { escapeHtml } from "../../util/html.ts";

const mostRows = 50;
const mostColumns = 20;
/** Elements of a tensor that are worth copying out of a backend's memory to show some of them. */
const mostElements = 1 << 20;

interface Table {
  head: string[];
  rows: unknown[][];
  /** Rows and columns of the whole, where the table shows a part. */
  whole: [rows: number, columns: number];
}

/** A value as a bundle with an HTML table, or undefined where it is none. `text` writes any value as text. */
export function tableBundle(value: object, text: (value: unknown) => string): MimeBundle | undefined {
  if (isFrame(value)) {
    const plain = value.values.length > mostRows ? undefined : String(value.toString());
    const table = frameTable(value);
    return {
      "text/html": html(table, text),
      "text/plain": plain !== undefined && plain.length < 20_000 ? plain : describe("DataFrame", table, text),
    };
  }
  if (isTensor(value)) return tensorBundle(value, text);
  if (value instanceof Map && value.size > 0) {
    const rows = [...take(value.entries(), mostRows)].map(([key, entry]) => [key, entry]);
    return {
      "text/html": html({ head: ["key", "value"], rows, whole: [value.size, 2] }, text, true),
      "text/plain": text(value),
    };
  }
  if (Array.isArray(value) && isRecords(value)) {
    const names = [...new Set(value.slice(0, mostRows).flatMap((row) => Object.keys(row)))];
    const rows = value
      .slice(0, mostRows)
      .map((row, i) => [i, ...names.slice(0, mostColumns).map((n) => row[n])]);
    return {
      "text/html": html(
        { head: ["", ...names.slice(0, mostColumns)], rows, whole: [value.length, names.length + 1] },
        text,
      ),
      "text/plain": text(value),
    };
  }
  return undefined;
}

function* take<T>(items: Iterable<T>, count: number): Generator<T> {
  let left = count;
  for (const item of items) {
    if (left-- <= 0) return;
    yield item;
  }
}

interface Frame {
  columns: unknown[];
  index: unknown[];
  values: unknown[];
  shape: number[];
  toString(): string;
}

/** A DataFrame or a Series of danfojs. */
function isFrame(value: object): value is Frame {
  const name = (value as { constructor?: { name?: unknown } }).constructor?.name;
  if (name !== "DataFrame" && name !== "Series") return false;
  const { columns, index, values, shape } = value as Partial<Frame>;
  return [columns, index, values, shape].every(Array.isArray);
}

function frameTable({ columns, index, values }: Frame): Table {
  const head = columns.slice(0, mostColumns).map(String);
  const rows = values
    .slice(0, mostRows)
    .map((row, i) => [index[i], ...(Array.isArray(row) ? row.slice(0, mostColumns) : [row])]);
  return { head: ["", ...head], rows, whole: [values.length, columns.length + 1] };
}

interface Tensor {
  shape: number[];
  dtype: string;
  size: number;
  isDisposed?: boolean;
  dataSync(): ArrayLike<unknown>;
  toString(verbose?: boolean): string;
}

/** A tensor of TensorFlow.js. */
function isTensor(value: object): value is Tensor {
  const { shape, dtype, dataSync, size } = value as Partial<Tensor>;
  return (
    Array.isArray(shape) &&
    typeof dtype === "string" &&
    typeof dataSync === "function" &&
    typeof size === "number"
  );
}

function tensorBundle(tensor: Tensor, text: (value: unknown) => string): MimeBundle {
  const title = `Tensor ${tensor.dtype} [${tensor.shape.join(", ")}]`;
  if (tensor.isDisposed) return { "text/plain": `${title}, disposed` };
  if (tensor.size > mostElements) return { "text/plain": `${title}, ${tensor.size} elements` };
  const plain = `${title}\n${tensor.toString().replace(/^Tensor\s*\n?/, "")}`;
  if (tensor.shape.length !== 2 || tensor.dtype === "complex64") return { "text/plain": plain };
  const data = tensor.dataSync();
  const [height, width] = tensor.shape;
  const rows = Array.from({ length: Math.min(height, mostRows) }, (_, y) => [
    y,
    ...Array.from({ length: Math.min(width, mostColumns) }, (_, x) => data[y * width + x]),
  ]);
  const head = ["", ...Array.from({ length: Math.min(width, mostColumns) }, (_, x) => String(x))];
  return {
    "text/html": `<p>${escapeHtml(title)}</p>${html({ head, rows, whole: [height, width + 1] }, text)}`,
    "text/plain": plain,
  };
}

/** Whether all elements are plain objects with the same names and simple values: rows of a table. */
function isRecords(array: unknown[]): array is Record<string, unknown>[] {
  if (array.length < 2) return false;
  let names: string | undefined;
  for (const row of array.slice(0, mostRows)) {
    if (typeof row !== "object" || row === null) return false;
    const prototype = Object.getPrototypeOf(row);
    if (prototype !== Object.prototype && prototype !== null) return false;
    const keys = Object.keys(row);
    if (keys.length === 0 || keys.length > 100) return false;
    names ??= keys.join("\0");
    if (keys.join("\0") !== names) return false;
    for (const key of keys) {
      const descriptor = Object.getOwnPropertyDescriptor(row, key);
      if (descriptor?.get) return false; // Looking at it would run the user's code.
      const { value } = descriptor!;
      if (
        (typeof value === "object" && value !== null && !(value instanceof Date)) ||
        typeof value === "function"
      ) {
        return false;
      }
    }
  }
  return true;
}

function cellText(value: unknown, text: (value: unknown) => string): string {
  if (typeof value === "string") return value.length > 200 ? `${value.slice(0, 200)}…` : value;
  if (typeof value === "number")
    return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
  if (value === null || value === undefined) return String(value);
  const shown = text(value);
  return shown.length > 200 ? `${shown.slice(0, 200)}…` : shown;
}

function html({ head, rows, whole }: Table, text: (value: unknown) => string, quoted = false): string {
  const cell = (tag: string, value: unknown) => {
    const align = typeof value === "number" ? ' style="text-align: right"' : "";
    const shown = quoted && typeof value === "string" ? text(value) : cellText(value, text);
    return `<${tag}${align}>${escapeHtml(shown)}</${tag}>`;
  };
  const lines = rows.map(
    (row) => `<tr>${row.map((value, i) => cell(i === 0 ? "th" : "td", value)).join("")}</tr>`,
  );
  return (
    `<table><thead><tr>${head.map((name) => cell("th", name)).join("")}</tr></thead>` +
    `<tbody>${lines.join("")}</tbody></table>${note(rows.length, head.length, whole, "<p>", "</p>")}`
  );
}

function note(rows: number, columns: number, whole: [number, number], before: string, after: string): string {
  const parts: string[] = [];
  if (rows < whole[0]) parts.push(`${rows} of ${whole[0]} rows`);
  if (columns < whole[1]) parts.push(`${columns - 1} of ${whole[1] - 1} columns`);
  return parts.length > 0 ? `${before}${parts.join(", ")}${after}` : "";
}

/** A table as text with columns that line up. */
function describe(name: string, table: Table, text: (value: unknown) => string): string {
  const lines = [table.head, ...table.rows.slice(0, 20)].map((row) =>
    row.map((value) => cellText(value, text)),
  );
  const widths = table.head.map((_, i) => Math.max(...lines.map((line) => (line[i] ?? "").length)));
  const body = lines.map((line) =>
    line
      .map((cell, i) => cell.padEnd(widths[i]))
      .join("  ")
      .trimEnd(),
  );
  return [`${name} of ${table.whole[0]} rows and ${table.whole[1] - 1} columns`, ...body, "…"].join("\n");
}
