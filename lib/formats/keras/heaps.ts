// The global heaps of an HDF5 file, where texts of any length lie: looked at before h5wasm is, since the HDF Group's library
// goes through a heap object by object, and for ever through one that says it takes no bytes.
// HDF5 File Format Specification 3.0, II.A (superblock) and III.E (global heap).
import { refuse } from "../error.ts";

const signature = Uint8Array.of(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a);
/** "GCOL" and the version. */
const collection = Uint8Array.of(0x47, 0x43, 0x4f, 0x4c, 1);
const headerBytes = 16;
const leastCollection = 4096;

/**
 * Looks at every global heap in a file.
 *
 * @throws FormatError for what is no HDF5 file of the usual sizes, and for a heap whose objects do not fill it
 */
export function checkHeaps(bytes: Uint8Array, file: string): void {
  if (signature.some((byte, i) => bytes[i] !== byte)) refuse(file, "is no HDF5 file");
  // Versions 0 and 1 have the size of lengths at 14, later ones at 10.
  const lengths = bytes[bytes[8] < 2 ? 14 : 10];
  if (lengths !== 8)
    refuse(file, `has lengths of ${lengths ?? "no"} bytes, where HDF5 files of Keras have 8`);
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = data.indexOf(collection); at >= 0; at = data.indexOf(collection, at + 1)) {
    if (at + headerBytes > data.length) return;
    const size = lengthAt(data, at + 8);
    // What does not lie in the file is no heap, or refused by the library itself.
    if (size < leastCollection || at + size > data.length) continue;
    checkObjects(data.subarray(at, at + size), file, at);
  }
}

function checkObjects(heap: Buffer, file: string, at: number): void {
  for (let place = headerBytes; place + headerBytes <= heap.length; ) {
    const size = lengthAt(heap, place + 8);
    // Object 0 is what is free, its own header included.
    const isFree = heap.readUInt16LE(place) === 0;
    const taken = isFree ? size : headerBytes + 8 * Math.ceil(size / 8);
    if (taken < headerBytes || place + taken > heap.length)
      refuse(file, `is damaged: the heap at byte ${at} has an object of ${size} bytes at ${at + place}`);
    place += taken;
  }
}

/** A length of 64 bits; above 2^53 about, which is more than any file. */
const lengthAt = (data: Buffer, at: number): number =>
  data.readUInt32LE(at) + 2 ** 32 * data.readUInt32LE(at + 4);
