// Files over a network that is slow, breaks off or stands still: several attempts, and never a part.
import { cellSignal, unlessAborted } from "../../util/abort.ts";

const attempts = 3;
/** A connection over which nothing came for so long is given up, in ms. */
const patience = 30_000;
/** Who waits for so long is told for what, in ms. */
const silence = 5000;

/**
 * A file of known length.
 *
 * @throws what an interrupt of the cell that waits throws; Error when the last attempt failed, with how far it came
 */
export async function fetchWhole(url: string, size: number): Promise<Uint8Array> {
  const cell = cellSignal();
  for (let attempt = 1; ; attempt++) {
    try {
      return await fetchOnce(url, size, cell);
    } catch (error) {
      if (cell?.aborted) throw cell.reason;
      if (attempt === attempts) throw new Error(`${url}: ${(error as Error).message}`, { cause: error });
      const pause = new Promise((resolve) => setTimeout(resolve, 500 * attempt));
      await unlessAborted(pause, cell, () => cell!.reason);
    }
  }
}

async function fetchOnce(url: string, size: number, cell: AbortSignal | undefined): Promise<Uint8Array> {
  const own = new AbortController();
  const stop = () => own.abort(cell?.reason);
  cell?.addEventListener("abort", stop);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => own.abort(new Error(`nothing came for ${patience / 1000} s`)), patience);
  };
  let tell = performance.now() + silence;
  try {
    wait();
    const response = await fetch(url, { signal: own.signal });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const bytes = new Uint8Array(size);
    let length = 0;
    for (const reader = response.body!.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      wait();
      if (length + value.length <= size) bytes.set(value, length);
      length += value.length;
      if (performance.now() < tell) continue;
      const name = url.split("/").slice(-2).join("/");
      console.warn(`loading ${name}: ${megabytes(length)} of ${megabytes(size)} MB …`);
      tell = performance.now() + 2 * silence;
    }
    if (length !== size) throw new Error(`${length} of ${size} bytes came`);
    return bytes;
  } finally {
    clearTimeout(timer);
    cell?.removeEventListener("abort", stop);
  }
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

/** {@link fetchWhole} while everything waits. */
export function fetchWholeSync(url: string, size: number): Uint8Array {
  for (let attempt = 1; ; attempt++) {
    try {
      const request = new XMLHttpRequest();
      request.open("GET", url, false);
      request.responseType = "arraybuffer";
      request.send();
      if (request.status !== 200) throw new Error(`the server answered ${request.status}`);
      const bytes = new Uint8Array(request.response as ArrayBuffer);
      if (bytes.length !== size) throw new Error(`${bytes.length} of ${size} bytes came`);
      return bytes;
    } catch (error) {
      if (attempt === attempts) throw new Error(`${url}: ${(error as Error).message}`, { cause: error });
    }
  }
}
