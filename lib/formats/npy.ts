// NumPy's arrays: .npy, one array with its header in Python's own notation, and .npz, a zip archive of them. Read only.
// The format: numpy/lib/format.py, versions 1.0 to 3.0.
import { unzipSync } from "fflate";
import { checkInteger, shown } from "../util/check.ts";
import { mapFloats } from "../util/floats.ts";
import { fromHalves } from "../util/half.ts";
import { elements } from "../util/shape.ts";
import { FormatError } from "./error.ts";

/** An array as a file has it: row-major, its numbers bytes, whole numbers or floats. */
export interface NpyArray {
  shape: number[];
  values: Uint8Array | Int32Array | Float32Array;
}

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/** Bytes of a number, and how so many of them are read. */
const types: Record<string, { size: number; read: (view: DataView) => NpyArray["values"] }> = {
  "|u1": { size: 1, read: (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice() },
  "|b1": { size: 1, read: (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice() },
  "|i1": { size: 1, read: (view) => wholes(view, 1, (at) => view.getInt8(at)) },
  "<u2": { size: 2, read: (view) => wholes(view, 2, (at) => view.getUint16(at, true)) },
  "<i2": { size: 2, read: (view) => wholes(view, 2, (at) => view.getInt16(at, true)) },
  "<i4": { size: 4, read: (view) => wholes(view, 4, (at) => view.getInt32(at, true)) },
  "<u4": { size: 4, read: (view) => wholes(view, 4, (at) => view.getUint32(at, true)) },
  "<i8": { size: 8, read: (view) => wholes(view, 8, (at) => Number(view.getBigInt64(at, true))) },
  "<u8": { size: 8, read: (view) => wholes(view, 8, (at) => Number(view.getBigUint64(at, true))) },
  "<f2": {
    size: 2,
    read: (view) =>
      fromHalves(Uint16Array.from({ length: view.byteLength / 2 }, (_, i) => view.getUint16(2 * i, true))),
  },
  "<f4": { size: 4, read: (view) => floats(view, 4, (at) => view.getFloat32(at, true)) },
  "<f8": { size: 8, read: (view) => floats(view, 8, (at) => view.getFloat64(at, true)) },
};

/**
 * Reads a .npy file.
 *
 * @param name what error messages call the file
 * @throws FormatError for damaged files, for columns first (`fortran_order`) and for numbers that are neither whole nor real
 */
export function decodeNpy(bytes: Uint8Array, name = "the .npy file"): NpyArray {
  const wrong = (what: string) => new FormatError(`${name} ${what}`);
  if (bytes.length < 10 || magic.some((byte, i) => bytes[i] !== byte)) throw wrong("is no .npy file");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const long = bytes[6] > 1;
  const start = long ? 12 : 10;
  const length = long && bytes.length >= 12 ? view.getUint32(8, true) : view.getUint16(8, true);
  if (start + length > bytes.length) throw wrong("is truncated within its header");
  const header = new TextDecoder("latin1").decode(bytes.subarray(start, start + length));
  const type = /'descr'\s*:\s*'([^']*)'/.exec(header)?.[1];
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(header)?.[1];
  const sides = /'shape'\s*:\s*\(([\d\s,]*)\)/.exec(header)?.[1];
  if (type === undefined || order === undefined || sides === undefined)
    throw wrong(`has no header of one plain array, but ${shown(header.trim())}`);
  if (!Object.hasOwn(types, type))
    throw wrong(
      `holds numbers of type ${shown(type)}; what can be read: ${Object.keys(types).join(", ")} (astype makes one of them)`,
    );
  const shape = [...sides.matchAll(/\d+/g)].map(([digits]) => Number(digits));
  if (order === "True" && shape.length > 1)
    throw wrong("has its columns first (fortran_order): save numpy.ascontiguousarray of it");
  const { size, read } = types[type];
  const data = bytes.subarray(start + length);
  if (data.length !== elements(shape) * size)
    throw wrong(
      `must have ${elements(shape) * size} bytes for its shape ${shape.join(" x ")}, but there are ${data.length}`,
    );
  try {
    return { shape, values: read(new DataView(data.buffer, data.byteOffset, data.byteLength)) };
  } catch (error) {
    throw wrong((error as Error).message);
  }
}

/**
 * Reads a .npz archive: its arrays by name, without the `.npy`.
 *
 * @param limit bytes that all arrays together may take; default 8 GiB
 * @throws FormatError for damaged archives and for arrays that {@link decodeNpy} refuses
 */
export function decodeNpz(bytes: Uint8Array, name = "the .npz file", limit = 2 ** 33): Map<string, NpyArray> {
  let sum = 0;
  let files: Record<string, Uint8Array>;
  try {
    files = unzipSync(bytes, {
      filter: ({ name: file, originalSize }) => {
        if (!file.endsWith(".npy")) return false;
        sum += originalSize;
        checkInteger("bytes of its arrays", sum, 0, limit);
        return true;
      },
    });
  } catch (error) {
    throw new FormatError(`${name} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  const arrays = Object.entries(files).map(([file, content]): [string, NpyArray] => [
    file.slice(0, -4),
    decodeNpy(content, `${file} in ${name}`),
  ]);
  if (arrays.length === 0) throw new FormatError(`${name} holds no arrays`);
  return new Map(arrays);
}

/** Whole numbers; those beyond 32 bits are refused, not wrapped. */
function wholes(view: DataView, size: number, at: (offset: number) => number): Int32Array {
  const values = new Int32Array(view.byteLength / size);
  for (let i = 0; i < values.length; i++)
    values[i] = checkInteger(`number ${i}`, at(i * size), -(2 ** 31), 2 ** 31 - 1);
  return values;
}

const floats = (view: DataView, size: number, at: (offset: number) => number) =>
  mapFloats({ length: view.byteLength / size }, (_, i) => at(i * size));
