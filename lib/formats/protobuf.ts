// Protocol buffers' wire format, which ONNX files are written in: fields of a number and a wire type, messages inside
// messages (https://protobuf.dev/programming-guides/encoding). No schema is read: each format names its fields.
import { joinBytes } from "../util/join.ts";

/** Writes one message, field by field. */
export class ProtoWriter {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  /** A whole number, up to 2^53 in size; negative ones as 64-bit two's complement. */
  integer(field: number, value: number): this {
    this.#varint(field << 3);
    this.#varint(value);
    return this;
  }

  /** A 32-bit float. */
  float(field: number, value: number): this {
    this.#varint((field << 3) | 5);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    return this.#add(bytes);
  }

  bytes(field: number, bytes: Uint8Array): this {
    return this.start(field, bytes.length).#add(bytes);
  }

  text(field: number, text: string): this {
    return this.bytes(field, new TextEncoder().encode(text));
  }

  message(field: number, message: ProtoWriter): this {
    this.start(field, message.#length);
    for (const part of message.#parts) this.#add(part);
    return this;
  }

  /** The key and length of a field whose content follows. */
  start(field: number, length: number): this {
    this.#varint((field << 3) | 2);
    this.#varint(length);
    return this;
  }

  /** Bytes as they are. */
  raw(bytes: Uint8Array): this {
    return this.#add(bytes);
  }

  finish(): Uint8Array<ArrayBuffer> {
    return joinBytes(this.#parts);
  }

  #add(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    return this;
  }

  #varint(value: number): void {
    const bytes: number[] = [];
    let rest = BigInt.asUintN(64, BigInt(value));
    while (rest > 127n) {
      bytes.push(Number(rest & 127n) | 128);
      rest >>= 7n;
    }
    bytes.push(Number(rest));
    this.#add(Uint8Array.from(bytes));
  }
}

/** A field of a message that was read. */
export interface ProtoField {
  field: number;
  /** For whole numbers; signed, rounded beyond 2^53. */
  integer: number;
  /** For everything with a length: texts, messages, packed numbers. */
  bytes: Uint8Array;
  wire: "integer" | "bytes" | "float" | "double";
  float: number;
}

const nothing = new Uint8Array(0);

/**
 * The fields of a message, in their order.
 * @throws RangeError where the bytes are no message
 */
export function* readProto(bytes: Uint8Array): Generator<ProtoField> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const place = { at: 0 };
  while (place.at < bytes.length) {
    const key = unsigned(bytes, place);
    const field = Math.floor(key / 8);
    if (field === 0) throw new RangeError("a field has number 0");
    switch (key % 8) {
      case 0:
        yield { field, integer: signed(bytes, place), bytes: nothing, wire: "integer", float: 0 };
        break;
      case 1:
        need(bytes, place, 8);
        yield {
          field,
          integer: 0,
          bytes: nothing,
          wire: "double",
          float: view.getFloat64(place.at - 8, true),
        };
        break;
      case 2: {
        const length = unsigned(bytes, place);
        need(bytes, place, length);
        yield {
          field,
          integer: 0,
          bytes: bytes.subarray(place.at - length, place.at),
          wire: "bytes",
          float: 0,
        };
        break;
      }
      case 5:
        need(bytes, place, 4);
        yield {
          field,
          integer: 0,
          bytes: nothing,
          wire: "float",
          float: view.getFloat32(place.at - 4, true),
        };
        break;
      default:
        throw new RangeError(`field ${field} has wire type ${key % 8}`);
    }
  }
}

/** Whole numbers one after the other, as repeated fields are packed. */
export function* readVarints(bytes: Uint8Array): Generator<number> {
  const place = { at: 0 };
  while (place.at < bytes.length) yield signed(bytes, place);
}

function need(bytes: Uint8Array, place: { at: number }, length: number): void {
  if (length > bytes.length - place.at)
    throw new RangeError(
      `a field of ${length} bytes ends behind the message, which has ${bytes.length - place.at} left`,
    );
  place.at += length;
}

function varint(bytes: Uint8Array, place: { at: number }): bigint {
  let value = 0n;
  for (let shift = 0n; ; shift += 7n) {
    need(bytes, place, 1);
    const byte = bytes[place.at - 1];
    value |= BigInt(byte & 127) << shift;
    if (byte < 128) return BigInt.asUintN(64, value);
    if (shift >= 63n) throw new RangeError("a number has more than 10 bytes");
  }
}

const unsigned = (bytes: Uint8Array, place: { at: number }): number => Number(varint(bytes, place));
const signed = (bytes: Uint8Array, place: { at: number }): number =>
  Number(BigInt.asIntN(64, varint(bytes, place)));
