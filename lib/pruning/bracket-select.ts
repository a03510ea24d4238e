// radix-select.ts for very many numbers: a random sample brackets the cut, one pass in WebAssembly SIMD settles all that
// lies outside the bracket, and the few within are ranked exactly. The result is the same, bit for bit.
// (Floyd and Rivest, "Expected time bounds for selection", 1975.)

import { checkFinite } from "../util/check.ts";
import { seeded } from "../util/random.ts";
import { instantiateWasm } from "../util/wasm.ts";
import bracketCode from "./bracket-select.wasm.js";
import { bitsOf, bitsThatCount, cutAt, keyOf, masksAt, type Ranked } from "./radix-select.ts";

interface Kernel {
  memory: WebAssembly.Memory;
  above: WebAssembly.Global;
  largest: WebAssembly.Global;
  split(count: number, and: number, lo: number, hi: number): number;
}

/** Floats in a chunk: small enough to stay in a core's second cache while it is copied, split and copied back. */
const CHUNK = 0x4000;
const SAMPLE = 0x4000;
const INFINITY_BITS = 0x7f800000;

let kernel: Kernel | undefined;

/**
 * Masks of all but the `count` lowest, as cutAt and masksAt give them.
 *
 * @returns undefined where a bracket does not pay: too few numbers, numbers that do not take part, or too many
 * equal ones
 */
export function masksByBracket(lists: Ranked[], count: number, absolute: boolean): Uint8Array[] | undefined {
  const total = lists.reduce((sum, { values }) => sum + values.length, 0);
  if (total < 4 * SAMPLE || count === 0 || lists.some(({ taking }) => taking)) return undefined;
  kernel ??= instantiateWasm(bracketCode).exports as unknown as Kernel;
  const floats = new Int32Array(kernel.memory.buffer, 0, CHUNK);
  const bytes = new Uint8Array(kernel.memory.buffer, 4 * CHUNK, CHUNK);
  const positions = new Int32Array(kernel.memory.buffer, 5 * CHUNK, CHUNK);

  const and = bitsThatCount(absolute);
  const [lo, hi] = bracketOf(lists, total, count, and);
  // A sample lets a fiftieth through at most; an eighth means that very many are equal.
  const values = new Float32Array(total >> 3);
  const places = new Uint32Array(total >> 3);
  const ends: number[] = [];
  let within = 0;
  let above = 0;
  const masks: Uint8Array[] = [];
  for (const list of lists) {
    const bits = bitsOf(list.values);
    const mask = new Uint8Array(bits.length);
    for (let start = 0; start < bits.length; start += CHUNK) {
      const length = Math.min(CHUNK, bits.length - start);
      floats.set(bits.subarray(start, start + length));
      // The kernel takes four at a time: the last one again, as often as it needs, and that is taken back below.
      const padding = -length & 3;
      floats.fill(floats[length - 1], length, length + padding);
      const hits = kernel.split(length + padding, and, lo, hi);
      if (kernel.largest.value >= INFINITY_BITS) checkFinite(list.name, list.values);
      mask.set(bytes.subarray(0, length), start);
      above += kernel.above.value - padding * bytes[length - 1];
      if (within + hits > places.length) return undefined;
      for (let h = 0; h < hits && positions[h] < length; h++) {
        places[within] = start + positions[h];
        values[within++] = list.values[start + positions[h]];
      }
    }
    masks.push(mask);
    ends.push(within);
  }

  // What lies below the bracket falls; within it, as many as are then missing.
  const missing = count - (total - above - within);
  if (missing < 0 || missing > within) return undefined;
  const rest: Ranked[] = [{ name: "scores", values: values.subarray(0, within) }];
  const [kept] = masksAt(rest, cutAt(rest, missing, absolute), absolute);
  for (let l = 0, i = 0; l < masks.length; l++) {
    for (; i < ends[l]; i++) masks[l][places[i]] = kept[i];
  }
  return masks;
}

/** Keys that the cut lies between, almost surely: 5 standard deviations of a sample's rank to either side. */
function bracketOf(lists: Ranked[], total: number, count: number, and: number): [lo: number, hi: number] {
  const random = seeded(total);
  const bits = lists.map(({ values }) => bitsOf(values));
  const ends: number[] = [];
  for (const { values } of lists) ends.push(values.length + (ends.at(-1) ?? 0));
  const keys = new Int32Array(SAMPLE).map(() => {
    const place = Math.floor(random() * total);
    const list = ends.findIndex((end) => place < end);
    return keyOf(bits[list][place - ends[list] + bits[list].length] & and);
  });
  keys.sort();
  const share = count / total;
  const margin = 2 + 5 * Math.sqrt(SAMPLE * share * (1 - share));
  return [
    keys[Math.floor(SAMPLE * share - margin)] ?? -0x80000000,
    keys[Math.ceil(SAMPLE * share + margin)] ?? 0x7fffffff,
  ];
}
