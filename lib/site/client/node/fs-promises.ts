// `node:fs/promises`, as far as cells and the library use it, over the files of the worker.
import { Buffer } from "buffer";
import { fileError, files, normal, type Stats } from "../files.ts";

type Path = string | URL;
type Encoding = BufferEncoding | { encoding?: BufferEncoding | null } | null;

const encodingOf = (options?: Encoding) => (typeof options === "object" ? options?.encoding : options);

/** Bytes as Node hands them out, or text. */
export function decoded(bytes: Uint8Array, options?: Encoding): Buffer | string {
  const encoding = encodingOf(options);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return encoding ? buffer.toString(encoding) : buffer;
}

export const readFile = async (path: Path, options?: Encoding) =>
  decoded(await files.read(normal(path)), options);

export const writeFile = async (path: Path, data: string | Uint8Array) => files.write(normal(path), data);

export async function appendFile(path: Path, data: string | Uint8Array): Promise<void> {
  const place = normal(path);
  const old = files.isFile(place) ? await files.read(place) : new Uint8Array(0);
  const more = typeof data === "string" ? new TextEncoder().encode(data) : data;
  files.write(place, Buffer.concat([old, more]));
}

export async function mkdir(path: Path, options: { recursive?: boolean } = {}): Promise<void> {
  files.makeFolder(normal(path), options.recursive);
}

export async function mkdtemp(prefix: string): Promise<string> {
  const letters = Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) =>
    (byte % 36).toString(36),
  ).join("");
  const path = normal(prefix + letters);
  files.makeFolder(path);
  return path;
}

export const rm = async (path: Path, options?: { recursive?: boolean; force?: boolean }) =>
  files.remove(normal(path), options);

export const unlink = async (path: Path) => files.remove(normal(path));

export const stat = async (path: Path): Promise<Stats> => files.stat(normal(path));

export const lstat = stat;

export async function access(path: Path): Promise<void> {
  files.stat(normal(path));
}

export async function readdir(path: Path, options: { withFileTypes?: boolean } = {}): Promise<unknown[]> {
  const folder = normal(path);
  const names = files.list(folder);
  return options.withFileTypes
    ? names.map((name) =>
        Object.assign(files.stat(normal(`${folder}/${name}`)), { name, parentPath: folder }),
      )
    : names;
}

export const rename = async (from: Path, to: Path) => files.move(normal(from), normal(to));

export const copyFile = async (from: Path, to: Path) =>
  files.write(normal(to), await files.read(normal(from)));

export const utimes = async (path: Path, _: unknown, time: Date | number) =>
  files.setTime(normal(path), Number(time));

export async function open(path: Path): Promise<never> {
  throw fileError("ENOSYS", "files are read and written whole in a browser", "open", normal(path));
}

export default {
  readFile,
  writeFile,
  appendFile,
  mkdir,
  mkdtemp,
  rm,
  unlink,
  stat,
  lstat,
  access,
  readdir,
  rename,
  copyFile,
  utimes,
  open,
};
