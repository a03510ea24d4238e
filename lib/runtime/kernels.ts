// How a layer's kernel lies in memory while it runs: as compression left it, and never as the matrix of floats that it
// stands for. Every form is a matrix whose last axis are the columns (outputs) and all others the rows (inputs, at the
// places of a window), and is asked for its rows.
import { codeRange, type Quantized } from "../quantization/index.ts";
import { checkLength } from "../util/check.ts";
import { mapFloats } from "../util/floats.ts";
import { elements } from "../util/shape.ts";

/** Forms of storage. */
export const kernelForms = ["floats", "sparse floats", "codes", "sparse codes"] as const;
export type KernelForm = (typeof kernelForms)[number];

/** A kernel in the form in which it runs. */
export interface StoredKernel {
  readonly form: KernelForm;
  /** [height, width, inputs, outputs] of a convolution, [inputs, outputs] of a dense layer. */
  readonly shape: readonly number[];
  readonly rows: number;
  readonly cols: number;
  /** What it takes in memory, exactly. */
  readonly bytes: number;
  /** Entries that are multiplied. */
  readonly entries: number;
  /** Adds `factor` times a row to `sums`, one a column; {@link finish} gives them their scales. */
  addRow(row: number, factor: number, sums: Float32Array): void;
  /** To be called once all rows are added. */
  finish(sums: Float32Array): void;
  /** Tells the entries of a row that are not 0. */
  visit(row: number, tell: (column: number, value: number) => void): void;
}

/** What a kernel is made of, as a .slim file has it: by layer, at most one of `quantized` and `clustered`. */
export interface KernelSource {
  shape: readonly number[];
  /** Floats, where there are no codes. */
  values?: Float32Array;
  quantized?: Quantized;
  clustered?: { codes: Uint8Array | Uint16Array; codebook: Float32Array };
  /** 1 = kept, 0 = pruned. */
  mask?: Uint8Array;
}

/** Weights as numbers of a table's entries, or as floats. */
interface Coded {
  /** Floats, or places in `table`. */
  codes: Float32Array | Uint8Array | Uint16Array;
  table?: Float32Array;
  /** Factors of columns, the same for all rows. */
  columnScale?: Float32Array;
  /** Factors of rows: row r has entry r modulo the length. */
  rowScale?: Float32Array;
  /** Factors that differ along both, in lines with one for each column; {@link lineOf} says which line a row has. */
  scales?: Float32Array;
  /** The table's value that stands for 0, in lines like those of `scales`; without it, 0. */
  zeros?: Float32Array;
  lineOf?: (row: number) => number;
}

/**
 * Takes a kernel as it is stored: sparse where less than half is kept, in codes where it has codes.
 *
 * @throws RangeError for arrays that do not have the shape, and for scales along an axis that is neither inputs nor outputs
 */
export function storeKernel(source: KernelSource): StoredKernel {
  const { shape } = source;
  const size = elements(shape);
  const cols = shape.at(-1) ?? 1;
  const rows = cols === 0 ? 0 : size / cols;
  const coded = codedOf(source);
  checkLength("kernel", coded.codes, size);
  const isKept = keptOf(coded, cols);
  let entries = 0;
  for (let at = 0; at < size; at++) if (isKept(at)) entries++;
  const isSparse = 2 * entries < size;
  const kept = isSparse ? compress(coded.codes, rows, cols, entries, isKept) : { codes: coded.codes };
  const { table, columnScale, rowScale, scales, zeros } = coded;
  const parts: (ArrayBufferView | undefined)[] = [
    ...Object.values(kept),
    table,
    columnScale,
    rowScale,
    scales,
    zeros,
  ];
  const form = `${isSparse ? "sparse " : ""}${table ? "codes" : "floats"}` as KernelForm;
  const bytes = parts.reduce((sum, part) => sum + (part?.byteLength ?? 0), 0);
  return { form, shape, rows, cols, bytes, entries, ...rowsOf({ ...coded, ...kept }, cols) };
}

function codedOf({ values, quantized, clustered, mask }: KernelSource): Coded {
  if (quantized) return codedOnGrid(quantized);
  if (clustered) {
    const { codes, codebook } = clustered;
    if (!mask) return { codes: codes.slice(), table: codebook.slice() };
    // What is pruned gets a place of its own, so that no mask has to be kept.
    checkLength("mask", mask, codes.length);
    const places = codebook.length < 256 ? new Uint8Array(codes.length) : new Uint16Array(codes.length);
    for (let at = 0; at < places.length; at++) places[at] = mask[at] === 0 ? 0 : codes[at] + 1;
    const table = new Float32Array(codebook.length + 1);
    table.set(codebook, 1);
    return { codes: places, table };
  }
  if (!values) throw new RangeError("a kernel must have values or codes");
  return { codes: values.slice() };
}

/** Codes of a grid, numbered from 0; a sign grid has the levels −1 and 1, all others every whole number of their range. */
function codedOnGrid(quantized: Quantized): Coded {
  const { codes, scale, zeroPoint, axis, shape, span = 1, group } = quantized;
  const { low, high } = codeRange(quantized);
  const places = high - low < 256 ? new Uint8Array(codes.length) : new Uint16Array(codes.length);
  for (let at = 0; at < places.length; at++) places[at] = codes[at] - low;
  const alike = zeroPoint.every((zero) => zero === zeroPoint[0]);
  const table = mapFloats({ length: high - low + 1 }, (_, i) => low + i - (alike ? zeroPoint[0] : 0));
  if (scale.length === 1) return { codes: places, table: table.map((step) => step * scale[0]) };
  const factors = Float32Array.from(scale);
  const coded = { codes: places, table, ...(alike ? {} : { zeros: Float32Array.from(zeroPoint) }) };
  const last = shape.length - 1;
  // Channels run fastest in both: a group is so many rows of a matrix, or so many places of a depthwise window.
  if (axis === last && span === 1) {
    if (group === undefined) return { ...coded, columnScale: factors };
    return { ...coded, scales: factors, lineOf: (row) => Math.floor(row / group) };
  }
  const inputs = shape[last - 1];
  if (axis === last - 1 && span === 2) {
    const lineOf = (row: number) =>
      Math.floor(Math.floor(row / inputs) / (group ?? codes.length)) * inputs + (row % inputs);
    return { ...coded, scales: factors, lineOf };
  }
  if (axis === last - 1 && span === 1 && group === undefined && alike) return { ...coded, rowScale: factors };
  throw new RangeError(
    `scales must be one for all, for each output, or for each input without groups, got ${scale.length} along axis ${axis} of ${shape.join(" x ")}`,
  );
}

function keptOf({ codes, table, zeros, lineOf }: Coded, cols: number): (at: number) => boolean {
  if (!table) return (at) => codes[at] !== 0;
  if (!zeros) return (at) => table[codes[at]] !== 0;
  return (at) => {
    const [row, column] = [Math.floor(at / cols), at % cols];
    return table[codes[at]] !== zeros[(lineOf?.(row) ?? 0) * cols + column];
  };
}

/** Compressed sparse rows: what is kept, row after row, each with its column, and where each row begins. */
interface Sparse {
  codes: Coded["codes"];
  columns?: Uint8Array | Uint16Array | Uint32Array;
  starts?: Uint32Array;
}

function compress(
  codes: Coded["codes"],
  rows: number,
  cols: number,
  entries: number,
  isKept: (at: number) => boolean,
): Sparse {
  const kept = new (codes.constructor as new (length: number) => Coded["codes"])(entries);
  const columns =
    cols <= 256
      ? new Uint8Array(entries)
      : cols <= 65536
        ? new Uint16Array(entries)
        : new Uint32Array(entries);
  const starts = new Uint32Array(rows + 1);
  for (let row = 0, next = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < cols; column++, at++) {
      if (!isKept(at)) continue;
      kept[next] = codes[at];
      columns[next++] = column;
    }
    starts[row + 1] = next;
  }
  return { codes: kept, columns, starts };
}

/** The loops: over floats or a table's entries, over all columns or those that are kept. */
function rowsOf(
  { codes, table, columnScale, rowScale, scales, zeros, lineOf, columns, starts }: Coded & Sparse,
  cols: number,
): Pick<StoredKernel, "addRow" | "finish" | "visit"> {
  /** The weight of a code, without the factors of columns. */
  const weightOf = (code: number, row: number, column: number) => {
    const place = (lineOf?.(row) ?? 0) * cols + column;
    const level = (table ? table[code] : code) - (zeros ? zeros[place] : 0);
    return level * (scales ? scales[place] : 1) * (rowScale ? rowScale[row % rowScale.length] : 1);
  };
  const visit: StoredKernel["visit"] = (row, tell) => {
    const from = starts ? starts[row] : row * cols;
    const end = starts ? starts[row + 1] : from + cols;
    for (let at = from; at < end; at++) {
      const column = columns ? columns[at] : at - from;
      const value = weightOf(codes[at], row, column) * (columnScale ? columnScale[column] : 1);
      if (value !== 0) tell(column, value);
    }
  };
  const isPlain = !zeros && !scales;
  const addRow: StoredKernel["addRow"] = (row, given, sums) => {
    const from = starts ? starts[row] : row * cols;
    const end = starts ? starts[row + 1] : from + cols;
    if (!isPlain) {
      for (let at = from; at < end; at++) {
        const column = columns ? columns[at] : at - from;
        sums[column] += given * weightOf(codes[at], row, column);
      }
      return;
    }
    const factor = rowScale ? given * rowScale[row % rowScale.length] : given;
    if (columns) {
      if (table) for (let at = from; at < end; at++) sums[columns[at]] += factor * table[codes[at]];
      else for (let at = from; at < end; at++) sums[columns[at]] += factor * codes[at];
    } else if (table) for (let c = 0, at = from; at < end; c++) sums[c] += factor * table[codes[at++]];
    else for (let c = 0, at = from; at < end; c++) sums[c] += factor * codes[at++];
  };
  const finish = (sums: Float32Array) => {
    if (columnScale) for (let c = 0; c < cols; c++) sums[c] *= columnScale[c];
  };
  return { addRow, finish, visit };
}
