// How a layer's kernel lies in memory while it runs: as compression left it, and never as the matrix of floats that it
// stands for. Its units (outputs) stand one after the other, each with the entries of its rows (inputs, at the places of a
// window): all of them, or those that are kept, each with its row.
import { codeRange, type Quantized } from "../quantization/index.ts";
import { checkLength } from "../util/check.ts";
import { elements } from "../util/shape.ts";

/** Forms of storage. */
export const kernelForms = ["floats", "sparse floats", "codes", "sparse codes"] as const;
export type KernelForm = (typeof kernelForms)[number];

/** What an entry is: a float, a place in a table, or a whole number on a grid; the numbers are stored.wat's. */
export const entryKinds = { float: 0, byteInTable: 1, shortInTable: 2, byte: 3, short: 4 } as const;
export type EntryKind = keyof typeof entryKinds;

/** A kernel in the form in which it runs: entry = ({@link codes}, by way of the table − zero) · scale. */
export interface StoredKernel {
  readonly form: KernelForm;
  /** [height, width, inputs, outputs] of a convolution, [inputs, outputs] of a dense layer. */
  readonly shape: readonly number[];
  /** Whether each input has units of its own, whose rows are the places of the window. */
  readonly depthwise: boolean;
  readonly units: number;
  /** Rows of each unit. */
  readonly rows: number;
  /** What it takes in memory, exactly. */
  readonly bytes: number;
  /** Entries that are multiplied. */
  readonly entries: number;
  readonly kind: EntryKind;
  /** Unit after unit. */
  readonly codes: Float32Array | Uint8Array | Uint16Array;
  readonly table?: Float32Array;
  /** The row of each entry, where not all are kept. */
  readonly rowOf?: Uint8Array | Uint16Array | Uint32Array;
  /** So many rows of a unit have one scale and zero: a run. */
  readonly run: number;
  /** Runs of each unit. */
  readonly runs: number;
  /** Where each run's entries begin, unit after unit, and where the last one's end; absent where all are kept. */
  readonly starts?: Uint32Array;
  readonly scales: Float32Array;
  readonly zeros: Float32Array;
  /** The place of a run's scale; of its zero, too, unless there is one for all. */
  readonly scaleOf: (unit: number, run: number) => number;
}

/** What a kernel is made of, as a .slim file has it: by layer, at most one of `quantized` and `clustered`. */
export interface KernelSource {
  shape: readonly number[];
  /** Whether each input has units of its own: [height, width, inputs, multiplier]. */
  depthwise?: boolean;
  /** Floats, where there are no codes. */
  values?: Float32Array;
  quantized?: Quantized;
  clustered?: { codes: Uint8Array | Uint16Array; codebook: Float32Array };
  /** 1 = kept, 0 = pruned. */
  mask?: Uint8Array;
}

type Codes = StoredKernel["codes"];

/** Entries in the order of the kernel's shape, and what they stand for. */
type Coded = Pick<StoredKernel, "kind" | "codes" | "table" | "run" | "scales" | "zeros" | "scaleOf">;

/** Where a unit's row lies in the kernel's own order. */
type PlaceOf = (unit: number, row: number) => number;

function placesOf(shape: readonly number[], depthwise: boolean): PlaceOf {
  const cols = shape.at(-1) ?? 1;
  const inputs = shape.at(-2) ?? 1;
  if (!depthwise) return (unit, row) => row * cols + unit;
  return (unit, row) => (row * inputs + Math.floor(unit / cols)) * cols + (unit % cols);
}

const all = Number.POSITIVE_INFINITY;

/**
 * Takes a kernel as it is stored: sparse where less than half is kept, in codes where it has codes.
 *
 * @throws RangeError for arrays that do not have the shape, and for scales along an axis that is neither inputs nor outputs
 */
export function storeKernel(source: KernelSource): StoredKernel {
  const { shape, depthwise = false } = source;
  const size = elements(shape);
  const cols = shape.at(-1) ?? 1;
  const inputs = shape.at(-2) ?? 1;
  const units = depthwise ? inputs * cols : cols;
  const rows = units === 0 ? 0 : size / units;
  const coded = codedOf(source);
  checkLength("kernel", coded.codes, size);
  const placeOf = placesOf(shape, depthwise);
  const run = Math.min(coded.run, Math.max(1, rows));
  const ordered = { ...coded, run, runs: Math.ceil(rows / run), units, rows };
  const isKept = keptOf(ordered);
  let entries = 0;
  for (let unit = 0; unit < units; unit++)
    for (let row = 0; row < rows; row++) if (isKept(unit, row, placeOf(unit, row))) entries++;
  const isSparse = 2 * entries < size;
  const kept = isSparse
    ? compress(ordered, placeOf, entries, isKept)
    : { codes: arrange(ordered, placeOf, size) };
  const { table, scales, zeros, kind } = coded;
  // A float is what it says: no scale is stored for it, and none for a table's entries.
  const parts = [...Object.values(kept), table, ...(isOnGrid(kind) ? [scales, zeros] : [])];
  const form = `${isSparse ? "sparse " : ""}${kind === "float" ? "floats" : "codes"}` as KernelForm;
  const bytes = parts.reduce((sum, part) => sum + (part?.byteLength ?? 0), 0);
  return { form, shape, depthwise, bytes, entries, ...ordered, ...kept };
}

/** What a kernel stands for, in its own order: running does without. */
export function kernelValues(kernel: StoredKernel): Float32Array {
  const { shape, depthwise, units, rows, runs, codes, rowOf } = kernel;
  const values = new Float32Array(elements(shape));
  const placeOf = placesOf(shape, depthwise);
  for (let unit = 0; unit < units; unit++)
    for (let r = 0; r < runs; r++) {
      const [from, count] = entriesOf(kernel, unit, r);
      const { scale, zero } = gridOfRun(kernel, unit, r);
      for (let at = from; at < from + count; at++) {
        const entry = kernel.table ? kernel.table[codes[at]] : codes[at];
        values[placeOf(unit, rowOf ? rowOf[at] : at - unit * rows)] = (entry - zero) * scale;
      }
    }
  return values;
}

/** The entries of a run: from which, and how many. */
export function entriesOf(
  { starts, rows, run, runs }: Pick<StoredKernel, "starts" | "rows" | "run" | "runs">,
  unit: number,
  r: number,
): [from: number, count: number] {
  if (!starts) return [unit * rows + r * run, Math.min(run, rows - r * run)];
  const from = starts[unit * runs + r];
  return [from, starts[unit * runs + r + 1] - from];
}

const isOnGrid = (kind: EntryKind) => kind === "byte" || kind === "short";

/** A run's scale and zero. */
export function gridOfRun(
  { scales, zeros, scaleOf }: Pick<Coded, "scales" | "zeros" | "scaleOf">,
  unit: number,
  run: number,
): { scale: number; zero: number } {
  const place = scaleOf(unit, run);
  return { scale: scales[place], zero: zeros[zeros.length === 1 ? 0 : place] };
}

const alike = {
  run: all,
  scales: Float32Array.of(1),
  zeros: Float32Array.of(0),
  scaleOf: () => 0,
};

function codedOf({ shape, depthwise = false, values, quantized, clustered, mask }: KernelSource): Coded {
  if (quantized) return codedOnGrid(quantized, shape, depthwise);
  if (clustered) {
    const { codes, codebook } = clustered;
    if (!mask)
      return {
        ...alike,
        kind: codes instanceof Uint8Array ? "byteInTable" : "shortInTable",
        codes,
        table: codebook.slice(),
      };
    // What is pruned gets a place of its own, so that no mask has to be kept.
    checkLength("mask", mask, codes.length);
    const isSmall = codebook.length < 256;
    const places = isSmall ? new Uint8Array(codes.length) : new Uint16Array(codes.length);
    for (let at = 0; at < places.length; at++) places[at] = mask[at] === 0 ? 0 : codes[at] + 1;
    const table = new Float32Array(codebook.length + 1);
    table.set(codebook, 1);
    return { ...alike, kind: isSmall ? "byteInTable" : "shortInTable", codes: places, table };
  }
  if (!values) throw new RangeError("a kernel must have values or codes");
  return { ...alike, kind: "float", codes: values };
}

/** Codes of a grid, numbered from 0; a sign grid has the levels −1 and 1, all others every whole number of their range. */
function codedOnGrid(quantized: Quantized, shape: readonly number[], depthwise: boolean): Coded {
  const { codes, scale, zeroPoint } = quantized;
  const { low, high } = codeRange(quantized);
  const isSmall = high - low < 256;
  const places = isSmall ? new Uint8Array(codes.length) : new Uint16Array(codes.length);
  for (let at = 0; at < places.length; at++) places[at] = codes[at] - low;
  const zerosAlike = zeroPoint.every((zero) => zero === zeroPoint[0]);
  const zeros = new Float32Array(zerosAlike ? 1 : zeroPoint.length);
  for (let i = 0; i < zeros.length; i++) zeros[i] = zeroPoint[i] - low;
  return {
    kind: isSmall ? "byte" : "short",
    codes: places,
    scales: Float32Array.from(scale),
    zeros,
    ...runsOf(quantized, shape, depthwise),
  };
}

/** Which rows of a unit have one scale, and where it stands. */
function runsOf(
  { axis, shape: own, span = 1, group, scale }: Quantized,
  shape: readonly number[],
  depthwise: boolean,
): Pick<Coded, "run" | "scaleOf"> {
  if (scale.length === 1) return { run: all, scaleOf: () => 0 };
  const last = own.length - 1;
  const cols = shape.at(-1)!;
  const inputs = shape.at(-2)!;
  // The row of the kernel's matrix: inputs run fastest, and after them the places of the window.
  const rowOf = depthwise
    ? (unit: number, tap: number) => tap * inputs + Math.floor(unit / cols)
    : (_unit: number, row: number) => row;
  const columnOf = depthwise ? (unit: number) => unit % cols : (unit: number) => unit;
  if (axis === last && span === 1) {
    if (group === undefined) return { run: all, scaleOf: columnOf };
    // A group is so many rows of a matrix: of a depthwise window, inputs of one place.
    const run = depthwise ? 1 : group;
    return {
      run,
      scaleOf: (unit, r) => Math.floor(rowOf(unit, r * run) / group) * cols + columnOf(unit),
    };
  }
  if (axis === last - 1 && (span === 2 || (cols === 1 && depthwise))) {
    // A group is so many places of the window, of one input and output.
    const run = depthwise ? (group ?? all) : 1;
    const taps = group ?? all;
    return {
      run,
      scaleOf: (unit, r) => {
        const row = rowOf(unit, r === 0 ? 0 : r * run);
        return (
          (Math.floor(Math.floor(row / inputs) / taps) * inputs + (row % inputs)) * cols + columnOf(unit)
        );
      },
    };
  }
  if (axis === last - 1 && span === 1 && group === undefined) {
    if (depthwise) return { run: all, scaleOf: (unit) => Math.floor(unit / cols) };
    return { run: 1, scaleOf: (_unit, r) => r % inputs };
  }
  throw new RangeError(
    `scales must be one for all, for each output, or for each input without groups, got ${scale.length} along axis ${axis} of ${own.join(" x ")}`,
  );
}

interface Ordered extends Coded {
  units: number;
  rows: number;
  runs: number;
}

function keptOf({ codes, table, kind, run, ...coded }: Ordered) {
  if (!isOnGrid(kind))
    return (_unit: number, _row: number, place: number) => (table ? table[codes[place]] : codes[place]) !== 0;
  return (unit: number, row: number, place: number) =>
    codes[place] !== gridOfRun(coded, unit, Math.floor(row / run)).zero;
}

const emptyLike = (codes: Codes, length: number): Codes =>
  new (codes.constructor as new (length: number) => Codes)(length);

/** All entries, unit after unit. */
function arrange({ codes, units, rows }: Ordered, placeOf: PlaceOf, size: number): Codes {
  const arranged = emptyLike(codes, size);
  for (let unit = 0, next = 0; unit < units; unit++)
    for (let row = 0; row < rows; row++) arranged[next++] = codes[placeOf(unit, row)];
  return arranged;
}

/** What is kept, unit after unit, each entry with its row, and where each run begins. */
function compress(
  { codes, units, rows, run, runs }: Ordered,
  placeOf: PlaceOf,
  entries: number,
  isKept: (unit: number, row: number, place: number) => boolean,
): Pick<StoredKernel, "codes" | "rowOf" | "starts"> {
  const kept = emptyLike(codes, entries);
  const rowOf =
    rows <= 256
      ? new Uint8Array(entries)
      : rows <= 65536
        ? new Uint16Array(entries)
        : new Uint32Array(entries);
  const starts = new Uint32Array(units * runs + 1);
  for (let unit = 0, next = 0; unit < units; unit++)
    for (let row = 0; row < rows; row++) {
      const place = placeOf(unit, row);
      if (isKept(unit, row, place)) {
        kept[next] = codes[place];
        rowOf[next++] = row;
      }
      starts[unit * runs + Math.floor(row / run) + 1] = next;
    }
  return { codes: kept, rowOf, starts };
}
