// What goes through the queue, as text: JSON, or what only structured cloning keeps (typed arrays), compressed.
import { deserialize, serialize } from "node:v8";
import { gunzipSync, gzipSync } from "node:zlib";

/** The largest value of a Redis string is 512 MiB; a packed one stays well below. */
const largest = 256 * 1024 * 1024;

/** A value as text. @throws RangeError where it is too large for the queue */
export function pack(value: unknown): string {
  const text = gzipSync(serialize(value), { level: 1 }).toString("base64");
  if (text.length > largest) {
    throw new RangeError(
      `it has ${text.length} characters when packed, of at most ${largest}: too large for the queue`,
    );
  }
  return text;
}

/** What {@link pack} was given. */
export function unpack<T>(text: string): T {
  return deserialize(gunzipSync(Buffer.from(text, "base64"), { maxOutputLength: 4 * largest })) as T;
}
