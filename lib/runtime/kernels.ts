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
  /** Factors of columns, or of rows: row r has entry r modulo the length. */
  columnScale?: Float32Array;
  rowScale?: Float32Array;
  /** The table's value that stands for 0, one a column or one for all; without it, 0. */
  zeros?: Float32Array;
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
  const { table, columnScale, rowScale, zeros } = coded;
  const parts: (ArrayBufferView | undefined)[] = [
    ...Object.values(kept),
    table,
    columnScale,
    rowScale,
    zeros,
  ];
  const form = `${isSparse ? "sparse " : ""}${table ? "codes" : "floats"}` as KernelForm;
  const bytes = parts.reduce((sum, part) => sum + (part?.byteLength ?? 0), 0);
  return { form, shape, rows, cols, bytes, entries, ...rowsOf({ ...coded, ...kept }, cols) };
}

function codedOf({ shape, values, quantized, clustered, mask }: KernelSource): Coded {
  if (quantized) {
    const {
      codes,
      scale,
      zeroPoint,
      axis,
      bits: _bits,
      scheme: _scheme,
      signed: _signed,
      shape: _shape,
      ...more
    } = quantized;
    // A grid that says more than is understood here would run to wrong numbers.
    const strange = Object.entries(more).filter(([, value]) => value !== undefined);
    if (strange.length > 0 || (axis === undefined && scale.length !== 1) || typeof axis === "object")
      throw new RangeError(
        `a grid must have one scale, or one for each index of an axis, to run from storage, got ${strange.map(([name]) => name).join(", ") || `${scale.length} scales`}`,
      );
    const { low, high } = codeRange(quantized);
    // A sign grid has the levels −1 and 1, all others every whole number from low to high.
    const places = high - low < 256 ? new Uint8Array(codes.length) : new Uint16Array(codes.length);
    for (let at = 0; at < places.length; at++) places[at] = codes[at] - low;
    const perColumn = axis === shape.length - 1 && scale.length > 1;
    if (scale.length > 1 && !perColumn && axis !== shape.length - 2)
      throw new RangeError(
        `scales must be along the last two axes, got axis ${axis} of ${shape.join(" x ")}`,
      );
    const zeros = zeroPoint.every((zero) => zero === zeroPoint[0]) ? undefined : Float32Array.from(zeroPoint);
    if (zeros && !perColumn) throw new RangeError("zero points must be alike, or one for each output");
    const table = mapFloats({ length: high - low + 1 }, (_, i) => low + i - (zeros ? 0 : zeroPoint[0]));
    if (scale.length === 1) return { codes: places, table: table.map((step) => step * scale[0]) };
    const factors = Float32Array.from(scale);
    return {
      codes: places,
      table,
      ...(perColumn ? { columnScale: factors } : { rowScale: factors }),
      ...(zeros ? { zeros } : {}),
    };
  }
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

function keptOf({ codes, table, zeros }: Coded, cols: number): (at: number) => boolean {
  if (!table) return (at) => codes[at] !== 0;
  if (zeros) return (at) => table[codes[at]] !== zeros[at % cols];
  return (at) => table[codes[at]] !== 0;
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
  { codes, table, columnScale, rowScale, zeros, columns, starts }: Coded & Sparse,
  cols: number,
): Pick<StoredKernel, "addRow" | "finish" | "visit"> {
  const scaleOf = (row: number, column: number) =>
    (columnScale ? columnScale[column] : 1) * (rowScale ? rowScale[row % rowScale.length] : 1);
  const weightOf = (code: number, column: number) =>
    (table ? table[code] : code) - (zeros ? zeros[column] : 0);
  const visit: StoredKernel["visit"] = (row, tell) => {
    const [from, to] = starts ? [starts[row], starts[row + 1]] : [row * cols, (row + 1) * cols];
    for (let at = from; at < to; at++) {
      const column = columns ? columns[at] : at - from;
      const value = weightOf(codes[at], column) * scaleOf(row, column);
      if (value !== 0) tell(column, value);
    }
  };
  const addRow: StoredKernel["addRow"] = (row, given, sums) => {
    const factor = rowScale ? given * rowScale[row % rowScale.length] : given;
    if (starts && columns) {
      const end = starts[row + 1];
      if (zeros)
        for (let at = starts[row]; at < end; at++)
          sums[columns[at]] += factor * weightOf(codes[at], columns[at]);
      else if (table)
        for (let at = starts[row]; at < end; at++) sums[columns[at]] += factor * table[codes[at]];
      else for (let at = starts[row]; at < end; at++) sums[columns[at]] += factor * codes[at];
      return;
    }
    let at = row * cols;
    if (zeros) for (let c = 0; c < cols; c++) sums[c] += factor * weightOf(codes[at++], c);
    else if (table) for (let c = 0; c < cols; c++) sums[c] += factor * table[codes[at++]];
    else for (let c = 0; c < cols; c++) sums[c] += factor * codes[at++];
  };
  const finish = (sums: Float32Array) => {
    if (columnScale) for (let c = 0; c < cols; c++) sums[c] *= columnScale[c];
  };
  return { addRow, finish, visit };
}
