// A file system for cells in a browser: what the site ships is fetched when it is first read, what cells write lies in the
// worker's memory and goes with it.
import { fetchWhole, fetchWholeSync } from "./fetch.ts";

/** Where the package lies for the library: `datasets/` is in it. */
export const root = "/slimlab";

/** A file that ships: where the site has it, and its length. */
export type Shipped = Record<string, { url: string; size: number }>;

/** As Node's errors of the file system. */
export function fileError(code: string, what: string, call: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${what}, ${call} '${path}'`), { code, syscall: call, path });
}

const missing = (call: string, path: string) => fileError("ENOENT", "no such file or directory", call, path);

/** An absolute path without `.`, `..` and doubled slashes. */
export function normal(path: string | URL): string {
  const text = path instanceof URL ? decodeURIComponent(path.pathname) : String(path);
  const parts: string[] = [];
  for (const part of (text.startsWith("/") ? text : `/home/${text}`).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

const parentOf = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf("/")));

export interface Stats {
  size: number;
  mtimeMs: number;
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

/** Files by their paths. */
export class Files {
  /** A promise while a file that ships is being fetched. */
  readonly #fetched = new Map<string, Promise<Uint8Array>>();
  readonly #written = new Map<string, { bytes: Uint8Array; time: number }>();
  readonly #removed = new Set<string>();
  readonly #folders = new Set(["/", "/home", "/tmp", root]);
  #shipped: Shipped = {};

  /** Tells what the site ships, by paths in the package's folder. */
  ship(shipped: Shipped): void {
    this.#shipped = Object.fromEntries(
      Object.entries(shipped).map(([path, one]) => [`${root}/${path}`, one]),
    );
    for (const path of Object.keys(this.#shipped)) this.#addFolders(parentOf(path));
  }

  #addFolders(folder: string): void {
    for (let at = folder; !this.#folders.has(at); at = parentOf(at)) this.#folders.add(at);
  }

  #isShipped(path: string): boolean {
    return Object.hasOwn(this.#shipped, path) && !this.#removed.has(path);
  }

  isFile(path: string): boolean {
    return this.#written.has(path) || this.#isShipped(path);
  }

  isFolder(path: string): boolean {
    return this.#folders.has(path);
  }

  stat(path: string): Stats {
    const file = this.isFile(path);
    if (!file && !this.isFolder(path)) throw missing("stat", path);
    const written = this.#written.get(path);
    return {
      size: written?.bytes.length ?? this.#shipped[path]?.size ?? 0,
      mtimeMs: written?.time ?? 0,
      isFile: () => file,
      isDirectory: () => !file,
      isSymbolicLink: () => false,
    };
  }

  list(folder: string): string[] {
    if (!this.isFolder(folder)) throw missing("scandir", folder);
    const inside = folder === "/" ? "/" : `${folder}/`;
    const names = new Set<string>();
    const all = [
      ...Object.keys(this.#shipped).filter((path) => this.#isShipped(path)),
      ...this.#written.keys(),
    ];
    for (const path of [...all, ...this.#folders])
      if (path.startsWith(inside) && path !== inside) names.add(path.slice(inside.length).split("/")[0]);
    return [...names].sort();
  }

  async read(path: string): Promise<Uint8Array> {
    const written = this.#written.get(path);
    if (written) return written.bytes.slice();
    if (!this.#isShipped(path)) throw this.isFolder(path) ? isFolder(path) : missing("open", path);
    let bytes = this.#fetched.get(path);
    if (!bytes) {
      bytes = fetchWhole(this.#shipped[path].url, this.#shipped[path].size);
      this.#fetched.set(path, bytes);
      // A network that broke may have mended by the next time.
      bytes.catch(() => this.#fetched.delete(path));
    }
    return (await bytes).slice();
  }

  /** The bytes of a file that was written here; one that ships is fetched while everything waits. */
  readSync(path: string): Uint8Array {
    const written = this.#written.get(path);
    if (written) return written.bytes.slice();
    if (!this.#isShipped(path)) throw this.isFolder(path) ? isFolder(path) : missing("open", path);
    const { url, size } = this.#shipped[path];
    return fetchWholeSync(url, size);
  }

  write(path: string, data: string | ArrayBufferView | Uint8Array): void {
    if (this.isFolder(path)) throw isFolder(path);
    if (!this.isFolder(parentOf(path))) throw missing("open", path);
    const bytes =
      typeof data === "string"
        ? new TextEncoder().encode(data)
        : new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
    this.#written.set(path, { bytes, time: Date.now() });
    this.#removed.delete(path);
  }

  makeFolder(path: string, recursive = false): void {
    if (this.isFile(path) || (this.isFolder(path) && !recursive))
      throw fileError("EEXIST", "file already exists", "mkdir", path);
    if (!recursive && !this.isFolder(parentOf(path))) throw missing("mkdir", path);
    this.#addFolders(path);
  }

  remove(path: string, { recursive = false, force = false } = {}): void {
    if (this.isFile(path)) {
      this.#written.delete(path);
      if (Object.hasOwn(this.#shipped, path)) this.#removed.add(path);
    } else if (this.isFolder(path)) {
      if (!recursive) throw fileError("ERR_FS_EISDIR", "path is a directory", "rm", path);
      for (const name of this.list(path)) this.remove(`${path}/${name}`, { recursive });
      this.#folders.delete(path);
    } else if (!force) throw missing("rm", path);
  }

  async move(from: string, to: string): Promise<void> {
    this.write(to, await this.read(from));
    this.remove(from);
  }

  setTime(path: string, time: number): void {
    const written = this.#written.get(path);
    if (written) written.time = time;
    else if (!this.isFile(path)) throw missing("utime", path);
  }
}

const isFolder = (path: string) => fileError("EISDIR", "illegal operation on a directory", "read", path);

/** The worker's files. */
export const files = new Files();
