// `node:zlib`, as far as cells and the library use it, by fflate and the browser's own streams.
import { Buffer } from "buffer";
import * as fflate from "fflate";
import { gunzip as unpack } from "#platform";

const asBuffer = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export const gzipSync = (bytes: Uint8Array, { level = 6 } = {}) =>
  asBuffer(fflate.gzipSync(bytes, { level: level as 6, mtime: 0 }));
export const gunzipSync = (bytes: Uint8Array) => asBuffer(fflate.gunzipSync(bytes));
export const deflateSync = (bytes: Uint8Array, { level = 6 } = {}) =>
  asBuffer(fflate.zlibSync(bytes, { level: level as 6 }));
export const inflateSync = (bytes: Uint8Array) => asBuffer(fflate.unzlibSync(bytes));
export const deflateRawSync = (bytes: Uint8Array, { level = 6 } = {}) =>
  asBuffer(fflate.deflateSync(bytes, { level: level as 6 }));
export const inflateRawSync = (bytes: Uint8Array) => asBuffer(fflate.inflateSync(bytes));

type Callback = (error: Error | null, bytes?: Buffer) => void;

/** As Node's, whose last argument is called when it is done. */
export function gunzip(
  bytes: Uint8Array,
  options: { maxOutputLength?: number } | Callback,
  done?: Callback,
): void {
  const call = typeof options === "function" ? options : done!;
  const limit = (typeof options === "object" && options.maxOutputLength) || Number.MAX_SAFE_INTEGER;
  unpack(bytes, limit).then(
    (content) => call(null, asBuffer(content)),
    (error) => call(error),
  );
}

export default {
  gzipSync,
  gunzipSync,
  deflateSync,
  inflateSync,
  deflateRawSync,
  inflateRawSync,
  gunzip,
};
