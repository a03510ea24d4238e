// Numbers in, a table out: for values that a reader looks up, where a figure shows how they lie.
import { shown } from "../util/check.ts";
import { display } from "../util/display.ts";
import { type TableBundle, tableOf } from "../util/table.ts";

/** What a table has in one place. Nothing there (`null`, `undefined`) and what is no number (`NaN`) are a dash. */
export type TableCell = string | number | null | undefined;

/** Options of {@link table}. */
export interface TableOptions {
  /** Above the table: what one should see in it. */
  title?: string;
}

/** A table that shows itself. */
export class Table {
  readonly #bundle: TableBundle;

  constructor(bundle: TableBundle) {
    this.#bundle = bundle;
  }

  /** The table as text, in columns that line up. */
  toString(): string {
    return this.#bundle["text/plain"];
  }

  [display](): TableBundle {
    return this.#bundle;
  }
}

/**
 * A table for readers: no index, units in its heads, columns of numbers aligned. Numbers have four significant digits,
 * or whole ones all of theirs, with thousands apart; text, such as `0.4 ± 0.2`, is shown as it is.
 *
 * @param rows one object a line; the columns are the first one's names, which all others must have, too
 * @throws RangeError that names the line and the column of what cannot be shown
 */
export function table(
  rows: readonly Readonly<Record<string, TableCell>>[],
  { title }: TableOptions = {},
): Table {
  if (!Array.isArray(rows) || rows.length === 0)
    throw new RangeError(`rows must be an array of at least one object, got ${shown(rows)}`);
  const columns = namesOf(rows[0], 0);
  const cells = rows.map((row, line) => {
    const names = namesOf(row, line);
    const stray = names.find((name) => !columns.includes(name));
    const lost = columns.find((name) => !names.includes(name));
    if (stray !== undefined || lost !== undefined)
      throw new RangeError(
        `rows[${line}] must have the columns of rows[0]: ${stray === undefined ? `${lost} is missing` : `${stray} is none of them`}`,
      );
    return columns.map((name) => textOf(row[name], `rows[${line}].${name}`));
  });
  return new Table(
    tableOf(
      columns.map((name) => name.trim()),
      cells,
      title,
    ),
  );
}

function namesOf(row: unknown, line: number): string[] {
  if (typeof row !== "object" || row === null || Array.isArray(row))
    throw new RangeError(`rows[${line}] must be an object, got ${shown(row)}`);
  return Object.keys(row);
}

function textOf(value: unknown, name: string): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return withSign(value);
  if (typeof value !== "number")
    throw new RangeError(`${name} must be a number or text, got ${shown(value)}`);
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞";
  const digits = Number.isInteger(value) ? 0 : Math.max(0, 3 - Math.floor(Math.log10(Math.abs(value))));
  return withSign(
    digits > 8
      ? value.toPrecision(4)
      : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
  );
}

/** Numbers with the sign that typesetting has for less than nothing; a zero has none. */
function withSign(text: string): string {
  return text.replace(/^-(?=[\d.])/, "−").replace(/^−(?=[0.]+(?![\d.]))/, "");
}
