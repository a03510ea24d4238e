// `#platform` on Node: see platform.ts.
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { findSourceMap } from "node:module";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { format as formatted, promisify, inspect as show, stripVTControlCharacters, types } from "node:util";
import { Worker, workerData } from "node:worker_threads";
import { deflateRawSync, deflateSync, gunzip as gunzipCallback, inflateRawSync } from "node:zlib";
import type { InspectOptions, OpenFile } from "./platform.ts";

export type { OpenFile } from "./platform.ts";

export const platformName = "node";

export { stripVTControlCharacters };

export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(bytes).digest());
}

export function randomId(): string {
  return randomUUID();
}

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

export function deflateRaw(bytes: Uint8Array): Uint8Array {
  return deflateRawSync(bytes, { level: 9 });
}

export function inflateRaw(bytes: Uint8Array, limit: number): Uint8Array {
  return inflateRawSync(bytes, { maxOutputLength: Math.max(1, limit) });
}

export function deflateZlib(bytes: Uint8Array): Uint8Array {
  return deflateSync(bytes, { level: 9 });
}

export async function gunzip(bytes: Uint8Array, limit: number): Promise<Uint8Array> {
  // A plain array, not a Buffer: it prints, compares and slices as one expects of a Uint8Array.
  const content = await promisify(gunzipCallback)(bytes, { maxOutputLength: Math.max(1, limit) });
  return new Uint8Array(content.buffer, content.byteOffset, content.length);
}

/** The folder of the slimlab package: where `datasets/` and `notebooks/` lie, run from source or from the build. */
export const packageRoot: string = findPackageRoot();

function findPackageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).name === "slimlab") return folder;
    const parent = dirname(folder);
    if (parent === folder) throw new Error("slimlab's package.json is missing: reinstall the package");
    folder = parent;
  }
}

export function packageFile(...parts: string[]): string {
  return join(packageRoot, ...parts);
}

export function joinPath(folder: string, ...names: string[]): string {
  return join(folder, ...names);
}

export async function exists(address: string): Promise<boolean> {
  return existsSync(address);
}

export async function isFolder(address: string): Promise<boolean> {
  try {
    return (await stat(address)).isDirectory();
  } catch {
    return false;
  }
}

export async function readBytes(address: string): Promise<Uint8Array> {
  const bytes = await readFile(address);
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

export function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  return writePartsAtomic(path, [typeof data === "string" ? Buffer.from(data) : data]);
}

export async function writePartsAtomic(
  path: string,
  parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    const file = await open(temporary, "wx");
    try {
      for await (const part of parts) await file.writeFile(part);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

export async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true });
}

export async function openFile(path: string): Promise<OpenFile> {
  const file = await open(path, "r");
  const { size } = await file.stat();
  return {
    size,
    async read(position, length) {
      const bytes = new Uint8Array(Math.max(0, Math.min(length, size - position)));
      let done = 0;
      // One read returns at most 2 GB.
      while (done < bytes.length) {
        const { bytesRead } = await file.read(
          bytes,
          done,
          Math.min(bytes.length - done, 2 ** 30),
          position + done,
        );
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return bytes.subarray(0, done);
    },
    close: () => file.close(),
  };
}

export function cacheFolder(): string {
  if (process.platform === "win32" && process.env.LOCALAPPDATA)
    return join(process.env.LOCALAPPDATA, "slimlab");
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "slimlab");
}

export function environment(name: string): string | undefined {
  return process.env[name];
}

export function isRooted(address: string): boolean {
  return isAbsolute(address);
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export function startHelper(module: () => URL, data: unknown): boolean {
  // A sleeping helper must not keep the process alive.
  new Worker(module(), { workerData: data }).unref();
  return true;
}

export function helperData(): unknown {
  return workerData;
}

export function inspect(value: unknown, options?: InspectOptions): string {
  return show(value, options);
}

export function isProxy(value: unknown): boolean {
  return types.isProxy(value);
}

export function format(...values: unknown[]): string {
  return formatted(...values);
}

export function isPromise(value: unknown): value is Promise<unknown> {
  return types.isPromise(value);
}

export function isOwnCode(file: string, module: string): boolean {
  if (file.startsWith("node:") || file === "evalmachine.<anonymous>") return true;
  // V8 names an ES module by its address, a CommonJS module by its path.
  const folder = new URL(".", module);
  return file.startsWith(folder.href) || file.startsWith(fileURLToPath(folder));
}

export function originalPlace(
  file: string,
  line: number,
  column: number,
): { file: string; line: number; column: number } | undefined {
  const entry = findSourceMap(file)?.findEntry(line - 1, column - 1);
  if (!entry || !("originalSource" in entry)) return undefined;
  return { file: entry.originalSource, line: entry.originalLine + 1, column: entry.originalColumn + 1 };
}
