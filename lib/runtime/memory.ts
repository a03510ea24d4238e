// The WebAssembly memory of one network: kernels as they are stored, and values while they are needed. Images lie channel
// by channel, so that an entry of a kernel meets many places at once.
import { elements } from "../util/shape.ts";
import { instantiateWasm, reserve } from "../util/wasm.ts";
import storedCode from "./stored.wasm.js";

/** How a value lies in memory: [height, width, channels] as planes, everything else as it is, one plane. */
export interface Layout {
  readonly shape: readonly number[];
  readonly planes: number;
  /** Numbers of a plane. */
  readonly places: number;
  /** Numbers from one plane to the next: kernels write up to three beyond a plane's end. */
  readonly plane: number;
  /** Numbers altogether, a multiple of 4. */
  readonly length: number;
}

/** A value at its place. */
export interface Value extends Layout {
  /** Its address in bytes. */
  readonly at: number;
}

export function layoutOf(shape: readonly number[]): Layout {
  const size = elements(shape);
  const planes = shape.length === 3 ? shape[2] : 1;
  const places = planes === 0 ? 0 : size / planes;
  const plane = (places + 6) & ~3;
  return { shape, planes, places, plane, length: planes * plane };
}

/** A kernel's entries, and how to read them. */
type Entries = [
  codes: number,
  kind: number,
  rows: number,
  wide: number,
  count: number,
  table: number,
  zero: number,
];

/** The functions of stored.wat. */
export interface Kernels {
  memory: WebAssembly.Memory;
  layOut(...args: [...entries: Entries, scale: number, offsets: number, to: number]): void;
  dot(...args: [...entries: Entries, x: number]): number;
  convolve(
    units: number,
    count: number,
    source: number,
    sourceStep: number,
    to: number,
    toStep: number,
    plane: number,
    lines: number,
    vectors: number,
  ): void;
  spread(
    from: number,
    fromStep: number,
    step: number,
    to: number,
    toStep: number,
    lines: number,
    count: number,
  ): void;
  affine(
    from: number,
    to: number,
    vectors: number,
    scale: number,
    shift: number,
    low: number,
    high: number,
  ): void;
  add(a: number, b: number, to: number, vectors: number): void;
}

const rounded = (bytes: number) => (bytes + 15) & ~15;

/** Lays out a network's memory, and fills it when all of it is known. */
export class NetworkMemory {
  readonly kernels = instantiateWasm(storedCode).exports as unknown as Kernels;
  /** Free stretches of what values have taken, and how far they reach. */
  #free: { at: number; bytes: number }[] = [];
  #values = 0;
  #kept: { bytes: Uint8Array; told: (at: number) => void }[] = [];
  #scratch = 0;
  #scratchAt = 0;
  /** All of it, as floats and as whole numbers, once it is settled. */
  all = new Float32Array(0);
  ints = new Int32Array(0);

  /** Room for a value, until it is let go. */
  take(layout: Layout): Value {
    const bytes = rounded(4 * layout.length);
    const fitting = this.#free.filter((one) => one.bytes >= bytes).sort((a, b) => a.bytes - b.bytes)[0];
    if (fitting) {
      const { at } = fitting;
      fitting.at += bytes;
      fitting.bytes -= bytes;
      return { ...layout, at };
    }
    const at = this.#values;
    this.#values += bytes;
    return { ...layout, at };
  }

  letGo({ at, length }: Value): void {
    this.#free.push({ at, bytes: rounded(4 * length) });
    this.#free.sort((a, b) => a.at - b.at);
    // Neighbours become one stretch.
    this.#free = this.#free
      .filter(({ bytes }) => bytes > 0)
      .reduce<{ at: number; bytes: number }[]>((joined, one) => {
        const last = joined.at(-1);
        if (last && last.at + last.bytes === one.at) last.bytes += one.bytes;
        else joined.push(one);
        return joined;
      }, []);
  }

  /** Keeps numbers for good; their address is known once {@link settle} was called. */
  keep(numbers: Float32Array | Int32Array | Uint32Array | Uint16Array | Uint8Array | undefined): {
    readonly at: number;
  } {
    const place = { at: 0 };
    if (!numbers) return place;
    const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
    this.#kept.push({
      bytes,
      told: (at) => {
        place.at = at;
      },
    });
    return place;
  }

  /** Makes sure that {@link scratch} has so many bytes. */
  needScratch(bytes: number): void {
    this.#scratch = Math.max(this.#scratch, rounded(bytes));
  }

  /** Where a step may write what it needs until it is done. */
  get scratch(): number {
    return this.#scratchAt;
  }

  /** Makes the memory as large as it has to be, and puts what is kept into it. */
  settle(): void {
    this.#scratchAt = this.#values;
    let at = this.#values + this.#scratch;
    const places = this.#kept.map(({ bytes }) => {
      const own = at;
      at += rounded(bytes.length);
      return own;
    });
    // Behind the last one a kernel may read a few vectors.
    reserve(this.kernels.memory, at + 256);
    const { buffer } = this.kernels.memory;
    this.all = new Float32Array(buffer);
    this.ints = new Int32Array(buffer);
    const memory = new Uint8Array(buffer);
    for (const [i, { bytes, told }] of this.#kept.entries()) {
      memory.set(bytes, places[i]);
      told(places[i]);
    }
    this.#kept = [];
  }

  /** A value's numbers, as they lie there. */
  floats({ at, length }: Value): Float32Array {
    return this.all.subarray(at >> 2, (at >> 2) + length);
  }

  /** A value in the order of its shape: channels run fastest. */
  read(value: Value, to = new Float32Array(elements(value.shape))): Float32Array {
    const { planes, places, plane } = value;
    const from = this.floats(value);
    if (planes === 1) to.set(from.subarray(0, places));
    else
      for (let p = 0; p < planes; p++)
        for (let i = 0, at = p * plane, next = p; i < places; i++, next += planes) to[next] = from[at++];
    return to;
  }

  /** Puts numbers in the order of its shape where a value lies. */
  write(value: Value, numbers: Float32Array): void {
    const { planes, places, plane } = value;
    const to = this.floats(value);
    if (planes === 1) to.set(numbers);
    else
      for (let p = 0; p < planes; p++)
        for (let i = 0, at = p * plane, next = p; i < places; i++, next += planes) to[at++] = numbers[next];
  }
}
