// Tables that values show of themselves: HTML, and text with columns that line up.
import { escapeHtml } from "./html.ts";

/** A table by MIME type. */
export type TableBundle = Record<"text/plain" | "text/html", string>;

/** Rows of a table that are shown; a longer one says so. */
const most = 50;

/** Text that reads as a number, with a unit or a spread behind it: `1,024`, `97.5 %`, `0.4 ± 0.2`; `2 bits fewer` is words. */
const numeric = /^[+\-−±]?\d(?!.*\p{L}{2}.*\s\p{L}{2})/u;

/** From so many characters on a text may wrap, and its column gets room for a few words a line. */
const long = 30;

/** A table of cells that are text already. Columns of numbers are aligned at their ends, all others at their beginnings. */
export function tableOf(head: string[], rows: string[][], caption?: string): TableBundle {
  const isNumeric = head.map((_, i) => {
    const filled = rows.map((row) => row[i]).filter((text) => text !== "" && text !== "–");
    return filled.length > 0 && filled.every((text) => numeric.test(text));
  });
  const isLong = head.map((_, i) => rows.some((row) => row[i].length > long));
  /** Both sides are said: a page's own is right in JupyterLab and left in the book. */
  const styleOf = (tag: string, text: string, i: number): string => {
    if (!isNumeric[i]) return `text-align: left${tag === "th" && isLong[i] ? "; min-width: 14em" : ""}`;
    return `text-align: right${tag === "td" && text.includes(" ") ? "; white-space: nowrap" : ""}`;
  };
  const line = (tag: string, cells: string[]) =>
    `<tr>${cells
      .map((text, i) => {
        const own = tag === "th" && text === "" ? "td" : tag; // an empty heading heads nothing
        return `<${own} style="${styleOf(tag, text, i)}">${escapeHtml(text)}</${own}>`;
      })
      .join("")}</tr>`;
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i].length)));
  const text = [head, ...rows].map((row) =>
    row
      .map((part, i) => (isNumeric[i] ? part.padStart(widths[i]) : part.padEnd(widths[i])))
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

/** Values in columns with an index before them, as a data frame shows itself: numbers to six digits, at most 50 rows. */
export function frameOf(columns: string[], index: unknown[], values: readonly unknown[][]): TableBundle {
  const rows = values.slice(0, most).map((row, i) => [index[i], ...row].map(cell));
  const caption = values.length > most ? `the first ${most} of ${values.length} rows` : undefined;
  return tableOf(["", ...columns], rows, caption);
}

/** Records as a table, one row each; the columns are the first record's fields. */
export function recordsTable(records: readonly object[]): TableBundle {
  const columns = Object.keys(records[0] ?? {});
  const values = records.map((record) => columns.map((name) => (record as Record<string, unknown>)[name]));
  return frameOf(columns, [...records.keys()], values);
}

function cell(value: unknown): string {
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(6)));
}
