// `#platform` in a browser, in its pages and its workers: see platform.ts. Nothing here may import from Node.
import { sha256 as hash } from "@noble/hashes/sha2.js";
import { deflateSync, inflateSync, zlibSync } from "fflate";
import { format, inspect as show, stripVTControlCharacters } from "node-inspect-extracted";
import { fileOf } from "./memory.ts";
import type { InspectOptions, OpenFile } from "./platform.ts";

export type { OpenFile } from "./platform.ts";

export const platformName = "web";

export { format, stripVTControlCharacters };

// Synchronous, which the browser's own hashes and compression streams are not.
export function sha256(bytes: Uint8Array): Uint8Array {
  return hash(bytes);
}

export function randomId(): string {
  // Not crypto.randomUUID: a page that came over plain http has none.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

export function toBase64(bytes: Uint8Array): string {
  let text = "";
  // In parts: arguments have a limit.
  for (let at = 0; at < bytes.length; at += 8192)
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

export function deflateRaw(bytes: Uint8Array): Uint8Array {
  return deflateSync(bytes, { level: 9 });
}

export function inflateRaw(bytes: Uint8Array, limit: number): Uint8Array {
  // One more than allowed, so that too much is seen; fflate writes no further than the room that it is given.
  const content = inflateSync(bytes, { out: new Uint8Array(limit + 1) });
  if (content.length > limit) throw new RangeError(`the content is longer than ${limit} bytes`);
  return content;
}

export function deflateZlib(bytes: Uint8Array): Uint8Array {
  return zlibSync(bytes, { level: 9 });
}

export async function gunzip(bytes: Uint8Array, limit: number): Promise<Uint8Array> {
  const packed = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream();
  const reader = packed.pipeThrough(new DecompressionStream("gzip")).getReader();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > limit) {
      await reader.cancel();
      throw Object.assign(new RangeError(`the content is longer than ${limit} bytes`), {
        code: "ERR_BUFFER_TOO_LARGE",
      });
    }
    chunks.push(value);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/** Where the package's files lie on the web: `datasets/` is beside the page or worker. */
export function packageFile(...parts: string[]): string {
  return joinPath(globalThis.location?.href ?? "", ...parts);
}

export function joinPath(folder: string, ...names: string[]): string {
  const path = names.join("/");
  if (folder === "") return path;
  const root = folder.endsWith("/") || folder === globalThis.location?.href ? folder : `${folder}/`;
  return new URL(path, new URL(root, globalThis.location?.href)).href;
}

export async function exists(address: string): Promise<boolean> {
  return (await fetch(address, { method: "HEAD" })).ok;
}

export async function isFolder(address: string): Promise<boolean> {
  return address.endsWith("/");
}

export async function readBytes(address: string): Promise<Uint8Array> {
  const response = await fetch(address);
  if (!response.ok)
    throw Object.assign(new Error(`${address}: the server answered ${response.status}`), {
      code: response.status === 404 ? "ENOENT" : `HTTP ${response.status}`,
    });
  return new Uint8Array(await response.arrayBuffer());
}

export async function writeFileAtomic(address: string): Promise<void> {
  throw new Error(`${address} cannot be written: a page has no file system`);
}

export const writePartsAtomic = writeFileAtomic;

export const removeFile = writeFileAtomic;

export async function openFile(address: string): Promise<OpenFile> {
  return fileOf(await readBytes(address));
}

export function cacheFolder(): string {
  throw new Error("a page has no folder for downloads: pass an address");
}

export function environment(): string | undefined {
  return undefined;
}

export function isRooted(address: string): boolean {
  return /^([a-z][a-z\d+.-]*:|\/)/i.test(address);
}

export function turn(): Promise<void> {
  return new Promise((resolve) => {
    // A message is delivered at once, where timers wait 4 ms after a few rounds.
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}

export function startHelper(): boolean {
  return false;
}

export function helperData(): unknown {
  return undefined;
}

export function inspect(value: unknown, options?: InspectOptions): string {
  return show(value, options as never);
}

export function isProxy(): boolean {
  return false;
}

export function isPromise(value: unknown): value is Promise<unknown> {
  return value instanceof Promise;
}

export function isOwnCode(file: string, module: string): boolean {
  // What is bundled has one address, that of the worker or of the module.
  const own = [module, globalThis.location?.href, "<anonymous>"];
  return own.some((address) => address && file.startsWith(address));
}

export function originalPlace(): undefined {
  return undefined;
}
