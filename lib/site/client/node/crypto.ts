// `node:crypto`, as far as the library uses it: SHA-256 and names by chance.
import { sha256 } from "@noble/hashes/sha2.js";
import { Buffer } from "buffer";
import { randomId } from "#platform";

export const randomUUID = randomId;

export function createHash(name: string) {
  if (name !== "sha256")
    throw new Error(`a browser's cells have the hash sha256, got ${JSON.stringify(name)}`);
  const hash = sha256.create();
  const self = {
    update(data: string | Uint8Array) {
      hash.update(typeof data === "string" ? new TextEncoder().encode(data) : data);
      return self;
    },
    digest(encoding?: BufferEncoding): Buffer | string {
      const bytes = Buffer.from(hash.digest());
      return encoding ? bytes.toString(encoding) : bytes;
    },
  };
  return self;
}

export default { createHash, randomUUID };
