// The idx format of MNIST (LeCun, Cortes, Burges): two zero bytes, a type (8 = unsigned byte), the number of
// dimensions, each dimension as a big-endian 32-bit number, then the data. Read strictly: every byte accounted for.
import { elements } from "../util/shape.ts";

/** An array of bytes with its shape, as an idx file holds it. */
export interface Idx {
  /** The size of each dimension, outermost first: `[count]` for labels, `[count, height, width]` for images. */
  shape: number[];
  /** The bytes, row-major; as many as the product of `shape`. */
  data: Uint8Array;
}

const unsignedByte = 0x08;

/**
 * Reads an idx file of unsigned bytes. The data is a view into `bytes`, not a copy.
 *
 * @param bytes the whole file, already decompressed
 * @param name what error messages call the file
 * @param dimensions how many dimensions the file must have: 1 for labels, 3 for grey images
 * @throws Error when the magic number, the type, the number of dimensions or the length is not as it must be
 */
export function parseIdx(bytes: Uint8Array, name: string, dimensions?: number): Idx {
  if (bytes.length < 4) throw new Error(`${name} is not an idx file: it has ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint16(0) !== 0 || bytes[2] !== unsignedByte || bytes[3] === 0) {
    const magic = view.getUint32(0).toString(16).padStart(8, "0");
    throw new Error(
      `${name} is not an idx file of unsigned bytes: it starts with 0x${magic}, not 0x000008NN`,
    );
  }
  const rank = bytes[3];
  if (dimensions !== undefined && rank !== dimensions) {
    throw new Error(
      `${name} must have ${dimensions} dimension${dimensions === 1 ? "" : "s"}, it has ${rank}`,
    );
  }
  const header = 4 + 4 * rank;
  if (bytes.length < header)
    throw new Error(`${name} ends inside its header: ${bytes.length} of ${header} bytes`);
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const expected = header + elements(shape);
  if (bytes.length !== expected) {
    const how = bytes.length < expected ? "truncated" : "too long";
    throw new Error(
      `${name} is ${how}: ${shape.join(" x ")} needs ${expected} bytes, the file has ${bytes.length}`,
    );
  }
  return { shape, data: bytes.subarray(header) };
}

/** Writes an idx file of unsigned bytes, the inverse of {@link parseIdx}. */
export function encodeIdx({ shape, data }: Idx): Uint8Array {
  const size = elements(shape);
  if (data.length !== size)
    throw new RangeError(`shape ${shape.join(" x ")} needs ${size} bytes, got ${data.length}`);
  const bytes = new Uint8Array(4 + 4 * shape.length + size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, (unsignedByte << 8) | shape.length);
  shape.forEach((n, i) => {
    view.setUint32(4 + 4 * i, n);
  });
  bytes.set(data, 4 + 4 * shape.length);
  return bytes;
}
