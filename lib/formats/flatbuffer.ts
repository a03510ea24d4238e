// Flatbuffers read without a schema: tables whose fields are asked for by the numbers of their slots
// (https://flatbuffers.dev/internals). Every offset is checked: a damaged file names what is not in it.

export class FlatTable {
  readonly #view: DataView;
  readonly #at: number;

  private constructor(view: DataView, at: number) {
    this.#view = view;
    this.#at = at;
  }

  /** @throws RangeError where the bytes are no flatbuffer */
  static root(bytes: Uint8Array): FlatTable {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return new FlatTable(view, view.getUint32(0, true));
  }

  /** Where a field lies, or undefined for one that has its default. */
  #field(slot: number): number | undefined {
    const vtable = this.#at - this.#view.getInt32(this.#at, true);
    if (4 + 2 * slot >= this.#view.getUint16(vtable, true)) return undefined;
    const offset = this.#view.getUint16(vtable + 4 + 2 * slot, true);
    return offset === 0 ? undefined : this.#at + offset;
  }

  byte(slot: number, fallback = 0): number {
    const at = this.#field(slot);
    return at === undefined ? fallback : this.#view.getInt8(at);
  }

  int(slot: number, fallback = 0): number {
    const at = this.#field(slot);
    return at === undefined ? fallback : this.#view.getInt32(at, true);
  }

  long(slot: number): number {
    const at = this.#field(slot);
    return at === undefined ? 0 : Number(this.#view.getBigInt64(at, true));
  }

  float(slot: number, fallback = 0): number {
    const at = this.#field(slot);
    return at === undefined ? fallback : this.#view.getFloat32(at, true);
  }

  text(slot: number): string {
    const [start, length] = this.#vector(slot, 1) ?? [0, 0];
    return new TextDecoder().decode(new Uint8Array(this.#view.buffer, this.#view.byteOffset + start, length));
  }

  /** A vector of bytes as it lies in the file; undefined where there is none. */
  bytes(slot: number): Uint8Array | undefined {
    const vector = this.#vector(slot, 1);
    return vector && new Uint8Array(this.#view.buffer, this.#view.byteOffset + vector[0], vector[1]);
  }

  ints(slot: number): number[] {
    return this.#numbers(slot, 4, (at) => this.#view.getInt32(at, true));
  }

  shorts(slot: number): number[] {
    return this.#numbers(slot, 2, (at) => this.#view.getUint16(at, true));
  }

  longs(slot: number): number[] {
    return this.#numbers(slot, 8, (at) => Number(this.#view.getBigInt64(at, true)));
  }

  floats(slot: number): number[] {
    return this.#numbers(slot, 4, (at) => this.#view.getFloat32(at, true));
  }

  table(slot: number): FlatTable | undefined {
    const at = this.#field(slot);
    return at === undefined ? undefined : this.#follow(at);
  }

  tables(slot: number): FlatTable[] {
    const [start, length] = this.#vector(slot, 4) ?? [0, 0];
    return Array.from({ length }, (_, i) => this.#follow(start + 4 * i));
  }

  #follow(at: number): FlatTable {
    return new FlatTable(this.#view, at + this.#view.getUint32(at, true));
  }

  #numbers(slot: number, size: number, read: (at: number) => number): number[] {
    const [start, length] = this.#vector(slot, size) ?? [0, 0];
    return Array.from({ length }, (_, i) => read(start + size * i));
  }

  #vector(slot: number, size: number): [start: number, length: number] | undefined {
    const field = this.#field(slot);
    if (field === undefined) return undefined;
    const at = field + this.#view.getUint32(field, true);
    const length = this.#view.getUint32(at, true);
    if (length * size > this.#view.byteLength - at - 4)
      throw new RangeError(`a list of ${length} entries ends behind the file`);
    return [at + 4, length];
  }
}
