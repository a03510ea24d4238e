// §4 The cells of a weight matrix, bit by bit in contexts: which are kept, and which signed whole number or float each kept
// one holds. What stands beside a cell tells much: the pixels around it, its row (an input), its column (a unit), and
// whether the layer before still has that unit.

import type { BitCoder } from "./binary-coder.ts";
import { Mixed, Numbers, Single } from "./context-mixing.ts";

/** How the rows of a matrix lie: maps of height × width, the channel running fastest; [rows, 1, 1] for none. */
export type RowMap = readonly [height: number, width: number, channels: number];

/** A matrix [rows, cols], row-major, each column a unit. */
export interface Matrix {
  rows: number;
  cols: number;
  map: RowMap;
}

/** Units of a layer that take something in. */
type Live = Uint8Array;

/** `log2` of a share in 256ths, 0 to 9: a coarse measure that tells small shares apart. */
const level = (count: number, of: number) => 32 - Math.clz32(Math.floor((256 * count) / (of + 1)));

/** Rows in the order in which a column is walked, and who stands beside whom; `rows` stands for nobody. */
function walkOf({ rows, map: [height, width, channels] }: Matrix, live: Uint8Array) {
  const order: number[] = [];
  const beside = new Int32Array(6 * rows).fill(rows);
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const row = (y * width + x) * channels + channel;
        const at = (dy: number, dx: number) => {
          const inside = y + dy >= 0 && x + dx >= 0 && x + dx < width;
          return inside ? ((y + dy) * width + x + dx) * channels + channel : rows;
        };
        // West, north, north-west, north-east, two to the west, two to the north.
        const first = 6 * row;
        beside[first] = at(0, -1);
        beside[first + 1] = at(-1, 0);
        beside[first + 2] = at(-1, -1);
        beside[first + 3] = at(-1, 1);
        beside[first + 4] = at(0, -2);
        beside[first + 5] = at(-2, 0);
        if (live[row] === 1) order.push(row);
      }
    }
  }
  return { order: Int32Array.from(order), beside };
}

/** Codes the cells of the tensors of one file, in their order. */
export class CellCoder {
  readonly #coder: BitCoder;
  /** The units that the tensor before leaves alive: what the next layer's rows, or a bias, belong to. */
  #before: Live | undefined;
  readonly #all = new Single(4);
  readonly #columns = new Single(9);
  readonly #rows = new Single(12);
  readonly #sign = new Single(512);
  readonly #mantissa = new Single(512 * 8);
  readonly numbers = new Numbers();

  constructor(coder: BitCoder) {
    this.#coder = coder;
  }

  /** One bit of a field. */
  flag(bit: boolean): boolean {
    return this.#coder.plain(1, Number(bit)) === 1;
  }

  /** A whole number from 0 up. */
  number(value: number): number {
    return this.numbers.code(this.#coder, value);
  }

  /** A whole number of either sign. */
  signed(value: number): number {
    const coded = this.number(value < 0 ? -2 * value - 1 : 2 * value);
    return coded % 2 === 1 ? -(coded + 1) / 2 : coded / 2;
  }

  /** The bits of a 32-bit float: sign, exponent and the first of the mantissa are learnt, the rest is noise. */
  float(bits: number): number {
    let node = 1;
    for (let i = 8; i >= 0; i--)
      node = node * 2 + this.#sign.code(this.#coder, node, (bits >>> (23 + i)) & 1);
    const head = node & 511;
    let known = 1;
    for (let i = 2; i >= 0; i--)
      known = known * 2 + this.#mantissa.code(this.#coder, head * 8 + known, (bits >>> (20 + i)) & 1);
    const middle = this.#coder.plain(10, (bits >>> 10) & 1023);
    const low = this.#coder.plain(10, bits & 1023);
    return ((head << 23) | ((known & 7) << 20) | (middle << 10) | low) >>> 0;
  }

  /** Floats, one after the other, by their bits. */
  floats(bits: Uint32Array): void {
    for (let i = 0; i < bits.length; i++) bits[i] = this.float(bits[i]);
  }

  /**
   * Which cells are kept.
   *
   * @param kept 1 or 0 by cell; filled in by a decoder
   * @returns the kept cells in the order of {@link levels}; undefined where that is all of them
   */
  positions(matrix: Matrix, kept: Uint8Array): Int32Array | undefined {
    const coder = this.#coder;
    const { rows, cols } = matrix;
    const isVector = rows === 1;
    if (this.#all.code(coder, isVector ? 1 : 0, Number(!kept.includes(0))) === 1) {
      kept.fill(1);
      if (!isVector) this.#before = undefined;
      return undefined;
    }
    const liveCols = new Uint8Array(cols);
    const liveRows = new Uint8Array(rows);
    for (let i = 0; i < kept.length; i++) {
      if (kept[i] === 0) continue;
      liveCols[i % cols] = 1;
      liveRows[Math.floor(i / cols)] = 1;
    }
    // A bias belongs to the units of the kernel before it, a kernel's rows to the units of the layer before.
    const units = this.#before;
    const known = (unit: number) => (units ? 1 + units[unit % units.length] : 0);
    const fits = units !== undefined && (isVector ? cols === units.length : rows % units.length === 0);
    for (let c = 0; c < cols; c++) {
      const context = isVector ? 3 + (fits ? known(c) : 0) * 2 : c > 0 ? 1 + liveCols[c - 1] : 0;
      liveCols[c] = this.#columns.code(coder, context, liveCols[c]);
    }
    if (isVector) {
      kept.set(liveCols);
      return Int32Array.from(kept.keys()).filter((i) => kept[i] === 1);
    }
    const [, width, channels] = matrix.map;
    for (let r = 0; r < rows; r++) {
      const north = liveRows[r - width * channels] ?? 1;
      const west = liveRows[r - channels] ?? 1;
      const context = (fits ? known(r) : 0) * 4 + north * 2 + west;
      liveRows[r] = this.#rows.code(coder, context, liveRows[r]);
    }
    this.#before = liveCols;
    return this.#walkPositions(matrix, kept, liveRows, liveCols);
  }

  #walkPositions(matrix: Matrix, kept: Uint8Array, liveRows: Uint8Array, liveCols: Uint8Array): Int32Array {
    const coder = this.#coder;
    const { rows, cols } = matrix;
    const { order, beside } = walkOf(matrix, liveRows);
    const mixed = new Mixed([rows, cols, 128, 400, 1000, 512], { sets: 12 });
    const { contexts } = mixed;
    const inRow = new Uint32Array(rows + 1);
    let found = new Int32Array(1024);
    let count = 0;
    // The column being walked, and the one before; the last entry stands for nobody.
    let column = new Uint8Array(rows + 1);
    let last = new Uint8Array(rows + 1);
    for (let c = 0, units = 0; c < cols; c++) {
      if (liveCols[c] === 0) continue;
      let inColumn = 0;
      let recent = 0;
      for (let i = 0; i < order.length; i++) {
        const row = order[i];
        const at = 6 * row;
        const west = beside[at];
        const north = beside[at + 1];
        const northWest = beside[at + 2];
        const northEast = beside[at + 3];
        const w = column[west];
        const n = column[north];
        const nw = column[northWest];
        const ne = column[northEast];
        const near = w + n + nw + ne;
        const byRow = level(inRow[row], units);
        const byColumn = level(inColumn, i);
        const around = level(inRow[west] + inRow[north] + inRow[northWest] + inRow[northEast], 4 * units);
        contexts[0] = row;
        contexts[1] = c;
        contexts[2] =
          w |
          (n << 1) |
          (nw << 2) |
          (ne << 3) |
          (column[beside[at + 4]] << 4) |
          (column[beside[at + 5]] << 5) |
          (last[row] << 6);
        contexts[3] = (byRow * 10 + byColumn) * 4 + Math.min(near, 3);
        contexts[4] = (byRow * 10 + around) * 10 + byColumn;
        contexts[5] = recent;
        const cell = row * cols + c;
        const bit = mixed.code(coder, kept[cell], Math.min(near, 2) * 4 + Math.min(3, units >> 2));
        kept[cell] = bit;
        if (bit === 1) {
          if (count === found.length) {
            const longer = new Int32Array(2 * count);
            longer.set(found);
            found = longer;
          }
          found[count++] = cell;
        }
        column[row] = bit;
        inColumn += bit;
        inRow[row] += bit;
        recent = ((recent << 1) | bit) & 511;
      }
      units++;
      [column, last] = [last, column];
      column.fill(0);
    }
    return found.subarray(0, count);
  }

  /**
   * The signed whole numbers of kept cells, none of them 0.
   *
   * @param kept as {@link positions} gives them
   * @param most the greatest magnitude
   * @param levels by cell; filled in by a decoder
   */
  levels(matrix: Matrix, kept: Int32Array | undefined, levels: Int32Array, most: number): void {
    const { rows, cols } = matrix;
    const coder = this.#coder;
    const { order, beside } = walkOf(matrix, new Uint8Array(rows).fill(1));
    const signs = new Mixed([27, 9, rows, cols], { sets: 1 });
    const steps = unarySteps(most);
    const sizes = new Mixed([steps * 81, steps * rows, steps * cols, steps * 20, steps * 2], { sets: 2 });
    const tails = new Single(32 * 256);
    const column = new Int32Array(rows + 1);
    const rowLast = new Int32Array(rows);
    const total = kept?.length ?? rows * cols;
    let [at, c] = [0, -1];
    let [before, sum, count] = [0, 0, 0];
    for (let i = 0; i < total; i++) {
      let row: number;
      let ends: boolean;
      if (kept) {
        const of = kept[i] % cols;
        row = (kept[i] - of) / cols;
        ends = of !== c;
        if (ends) c = of;
      } else {
        ends = at === 0;
        if (ends) c++;
        row = order[at];
        at = at + 1 === rows ? 0 : at + 1;
      }
      if (ends) {
        column.fill(0);
        before = sum = count = 0;
      }
      const cell = row * cols + c;
      const neighbours = 6 * row;
      const [w, n, nw] = [
        column[beside[neighbours]],
        column[beside[neighbours + 1]],
        column[beside[neighbours + 2]],
      ];
      const sign = 1 + Math.sign(rowLast[row]);
      const places = signs.contexts;
      places[0] = (1 + Math.sign(w)) * 9 + (1 + Math.sign(n)) * 3 + 1 + Math.sign(nw);
      places[1] = sign * 3 + 1 + Math.sign(before);
      places[2] = row;
      places[3] = c;
      const negative = signs.code(coder, Number(levels[cell] < 0));
      const mean = Math.min(9, count === 0 ? 0 : 1 + Math.floor(sum / count));
      const near = Math.min(8, sizeOf(w, most)) * 9 + Math.min(8, sizeOf(n, most));
      // Small alphabets step by step; large ones by their number of bits, and then the bits.
      const target = sizeOf(levels[cell], most);
      let size = 1;
      for (; size < steps; size++) {
        const { contexts } = sizes;
        contexts[0] = size * 81 + near;
        contexts[1] = size * rows + row;
        contexts[2] = size * cols + c;
        contexts[3] = size * 20 + mean * 2 + negative;
        contexts[4] = size * 2 + negative;
        if (sizes.code(coder, Number(size < target), Number(size > 1)) === 0) break;
      }
      const magnitude = steps === most ? size : this.#tail(tails, size, Math.abs(levels[cell]));
      levels[cell] = negative === 1 ? -magnitude : magnitude;
      column[row] = levels[cell];
      rowLast[row] = levels[cell];
      before = levels[cell];
      sum += size;
      count++;
    }
  }

  /** The bits below the highest of a magnitude with `length` bits: the first seven are learnt. */
  #tail(tails: Single, length: number, magnitude: number): number {
    let value = 1;
    for (let i = length - 2; i >= 0; i--) {
      const bit = (magnitude >>> i) & 1;
      value =
        value * 2 +
        (value < 256 ? tails.code(this.#coder, length * 256 + value, bit) : this.#coder.plain(1, bit));
    }
    return value;
  }
}

/** Steps that tell magnitudes up to `most` apart: each by itself up to 16, beyond that their numbers of bits. */
const unarySteps = (most: number) => (most <= 16 ? most : 32 - Math.clz32(most));

/** Which step a level is at; 0 for 0. */
function sizeOf(level: number, most: number): number {
  const magnitude = Math.abs(level);
  return most <= 16 ? magnitude : 32 - Math.clz32(magnitude);
}
