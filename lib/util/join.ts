// Parts of data, one after the other.

function placed<T extends Uint8Array | Float32Array>(all: T, parts: readonly T[]): T {
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const lengthOf = (parts: readonly { length: number }[]) => parts.reduce((sum, { length }) => sum + length, 0);

/** Bytes, one part after the other. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return placed<Uint8Array>(new Uint8Array(lengthOf(parts)), parts) as Uint8Array<ArrayBuffer>;
}

/** Floats, one part after the other. */
export function joinFloats(parts: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  return placed<Float32Array>(new Float32Array(lengthOf(parts)), parts) as Float32Array<ArrayBuffer>;
}
