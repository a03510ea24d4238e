// The thread in which h5wasm reads: a damaged file can keep the HDF Group's library busy for ever, and then the thread ends.
import { parentPort } from "node:worker_threads";
import type { Dataset, File as H5File } from "h5wasm";
import { mapFloats } from "../../util/floats.ts";
import { elements } from "../../util/shape.ts";
import { FormatError, refuse } from "../error.ts";
import type { Constant } from "../import/builder.ts";
import type { H5Answer, H5Group, H5Request } from "./hdf5-messages.ts";

type H5 = typeof import("h5wasm");

/** More groups and arrays than any network has. */
const mostObjects = 100_000;
const deepest = 32;
/** What a training leaves beside a network. */
const passedBy = new Set(["optimizer_weights", "optimizer", "_optimizer"]);

let files = 0;

/** What the library's memory may grow to, in bytes: a damaged file of 41 KB has asked for a gigabyte. */
let mostMemory = Number.POSITIVE_INFINITY;
const { grow } = WebAssembly.Memory.prototype;
// The library has this thread to itself, and takes a refusal for memory that is not there.
WebAssembly.Memory.prototype.grow = function (pages: number): number {
  if (this.buffer.byteLength + 2 ** 16 * pages > mostMemory)
    throw new RangeError("more memory than the file can need");
  return grow.call(this, pages);
};

/** A name that no bundler follows. */
const name = "h5wasm";

async function read(h5: H5, { bytes, file }: H5Request): Promise<H5Group> {
  const { FS } = await h5.ready;
  // h5wasm keeps what it once opened by its path.
  const path = `/slimlab-${files++}.h5`;
  // Its own 18 MB, and what is read, which may be as much as `Walk` allows.
  mostMemory = 2 ** 25 + 12 * bytes.length;
  let opened: H5File | undefined;
  try {
    FS.writeFile(path, bytes);
    opened = new h5.File(path, "r");
    if (opened.file_id < 0n) refuse(file, "is no HDF5 file, or damaged");
    return new Walk(h5, file, 10 * bytes.length + 4096).group(opened, 0);
  } catch (error) {
    if (error instanceof FormatError) throw error;
    return refuse(file, `is no HDF5 file, or damaged: ${reasonOf(error)}`, error);
  } finally {
    try {
      if (opened && opened.file_id >= 0n) opened.close();
      FS.unlink(path);
    } catch {
      // A file that could not be read cannot always be closed.
    }
  }
}

/** The last line of what the library says, its innermost reason. */
function reasonOf(error: unknown): string {
  if (error instanceof WebAssembly.RuntimeError) return `reading it takes too much memory (${error.message})`;
  const lines = String((error as Error | undefined)?.message ?? error).split("\n");
  const reasons = lines.flatMap((line) => /^\s*#\d+: .*?\(\): (.*)$/.exec(line)?.[1] ?? []);
  return (reasons.at(-1) ?? lines[0]).slice(0, 200);
}

class Walk {
  readonly #h5: H5;
  readonly #file: string;
  #bytesLeft: number;
  #objectsLeft = mostObjects;

  constructor(h5: H5, file: string, bytes: number) {
    [this.#h5, this.#file, this.#bytesLeft] = [h5, file, bytes];
  }

  group(group: InstanceType<H5["Group"]>, depth: number): H5Group {
    if (depth > deepest) refuse(this.#file, `has groups in groups, more than ${deepest} deep`);
    const attributes = new Map(
      Object.entries(group.attrs).map(([key, attribute]) => {
        this.#take(elements(attribute.metadata.shape ?? []) * attribute.metadata.size);
        return [key, plain(attribute.value)];
      }),
    );
    const groups = new Map<string, H5Group>();
    const arrays = new Map<string, Constant>();
    for (const key of group.keys()) {
      if (depth === 0 && passedBy.has(key)) continue;
      if (--this.#objectsLeft < 0) refuse(this.#file, `has more than ${mostObjects} groups and arrays`);
      const found = group.get(key);
      if (found instanceof this.#h5.Group) groups.set(key, this.group(found, depth + 1));
      else if (found instanceof this.#h5.Dataset) arrays.set(key, this.#array(key, found));
      else
        refuse(this.#file, `has a link ${JSON.stringify(key.slice(0, 60))} that leads out of it or nowhere`);
    }
    return { attributes, groups, arrays };
  }

  #array(key: string, dataset: Dataset): Constant {
    const { shape, type, size } = dataset.metadata;
    const wrong = (what: string): never =>
      refuse(this.#file, `has an array ${JSON.stringify(key.slice(0, 60))} ${what}`);
    // H5T_INTEGER and H5T_FLOAT.
    if (!shape || (type !== 0 && type !== 1)) return wrong("that holds no numbers");
    this.#take(elements(shape) * Math.max(4, size));
    const { value } = dataset;
    const numbers = (
      typeof value === "number" || typeof value === "bigint" ? [value] : value
    ) as ArrayLike<number>;
    if (!numbers || numbers.length !== elements(shape)) return wrong("that is not whole");
    return { shape, values: numbers instanceof Float32Array ? numbers : mapFloats(numbers, Number) };
  }

  #take(bytes: number): void {
    this.#bytesLeft -= bytes;
    if (!(this.#bytesLeft >= 0)) refuse(this.#file, "says that it holds more than ten times its own size");
  }
}

const decoder = new TextDecoder();

/** Texts are texts, however they are kept. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return decoder.decode(value);
  return Array.isArray(value) ? value.map(plain) : value;
}

async function start(): Promise<void> {
  const port = parentPort!;
  let h5: H5;
  try {
    h5 = await import(name);
  } catch (error) {
    port.postMessage({ missing: (error as Error).message } satisfies H5Answer);
    return;
  }
  const module = (await h5.ready) as unknown as { activate_throwing_error_handler(): void };
  // Otherwise what is wrong with a file is printed.
  module.activate_throwing_error_handler();
  port.on("message", async (request: H5Request) => {
    try {
      port.postMessage({ root: await read(h5, request) } satisfies H5Answer);
    } catch (error) {
      const { message, cause } = error as Error;
      const isLast = cause instanceof WebAssembly.RuntimeError;
      port.postMessage({ refused: message, isLast } satisfies H5Answer);
    }
  });
  port.postMessage({ ready: true } satisfies H5Answer);
}

await start();
