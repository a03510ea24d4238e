// Bytes that are there already, as a file that is read in pieces.
import type { OpenFile } from "./platform.ts";

/** A file of these bytes. */
export function fileOf(bytes: Uint8Array): OpenFile {
  return {
    size: bytes.length,
    read: async (position, length) => bytes.slice(position, position + length) as Uint8Array<ArrayBuffer>,
    close: async () => {},
  };
}
