// A cell's source map for as long as the kernel lives. Most are never asked for again, and a map is longer than its cell, so
// it is packed when the cell has run.
import { deflateRaw, inflateRaw } from "#platform";
import { readMappings, type Segment } from "./edits.ts";

/** What is shorter is not worth it. */
const leastLength = 2000;

export class KeptMap {
  #mappings: string;
  #packed: Uint8Array | undefined;
  readonly #length: number;

  /** @param mappings of one source, as source maps have them */
  constructor(mappings: string) {
    this.#mappings = mappings;
    this.#length = mappings.length;
  }

  get mappings(): string {
    if (!this.#packed) return this.#mappings;
    return new TextDecoder().decode(inflateRaw(this.#packed, this.#length));
  }

  segments(): Segment[] {
    return readMappings(this.mappings);
  }

  pack(): void {
    if (this.#packed || this.#length < leastLength) return;
    // (A copy: the answer may be a part of a larger piece of memory.)
    this.#packed = new Uint8Array(deflateRaw(new TextEncoder().encode(this.#mappings)));
    this.#mappings = "";
  }
}
