// HDF5 files as Keras writes them, read whole by h5wasm (NIST's build of the HDF Group's own library), an optional peer, in
// a thread that is ended where a damaged file keeps it busy.
import { Worker } from "node:worker_threads";
import { answerOf, TooLate } from "../../util/worker.ts";
import { FormatError, refuse } from "../error.ts";
import type { H5Answer, H5Group, H5Request } from "./hdf5-messages.ts";
import { checkHeaps } from "./heaps.ts";

/** How long a file may take, in milliseconds: good ones take some 20 for a megabyte. */
const patience = (bytes: number) => 2000 + bytes / 1000;

let thread: Promise<Worker> | undefined;
/** Files are read one after the other. */
let turn: Promise<unknown> = Promise.resolve();

/**
 * Reads an HDF5 file.
 *
 * @param file what error messages call it
 * @throws FormatError for what is damaged, or takes more than ten times the file's size; Error where h5wasm is missing
 */
export function readHdf5(bytes: Uint8Array, file: string): Promise<H5Group> {
  const result = turn.then(() => {
    checkHeaps(bytes, file);
    return read({ bytes, file });
  });
  turn = result.catch(() => undefined);
  return result;
}

async function read(request: H5Request): Promise<H5Group> {
  thread ??= started();
  let worker: Worker;
  try {
    worker = await thread;
  } catch (error) {
    thread = undefined;
    throw error;
  }
  worker.ref();
  const answer = answerOf<Exclude<H5Answer, { ready: true } | { missing: string }>>(
    worker,
    patience(request.bytes.length),
  );
  worker.postMessage(request);
  try {
    const found = await answer;
    if ("root" in found) return found.root;
    if (found.isLast) {
      thread = undefined;
      await worker.terminate();
    }
    throw new FormatError(found.refused);
  } catch (error) {
    if (error instanceof FormatError) throw error;
    thread = undefined;
    if (!(error instanceof TooLate))
      return refuse(request.file, `is damaged: ${(error as Error).message}`, error);
    await worker.terminate();
    return refuse(request.file, "is damaged: reading it does not come to an end");
  } finally {
    worker.unref();
  }
}

async function started(): Promise<Worker> {
  const worker = new Worker(new URL("./hdf5-worker.js", import.meta.url), { stdout: true, stderr: true });
  const answer = await answerOf<H5Answer>(worker);
  worker.unref();
  if ("ready" in answer) return worker;
  await worker.terminate();
  throw new Error(
    `h5wasm is not installed, which reads Keras's files: npm install h5wasm${"missing" in answer ? ` (${answer.missing})` : ""}`,
  );
}
