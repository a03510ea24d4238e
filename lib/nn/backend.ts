// Which engine computes: the native TensorFlow addon, WebAssembly with SIMD, or plain JavaScript.
// environment.md says what each needs and how fast it is.

import nodeUtil from "node:util";
import { platformName } from "#platform";
import { checkOneOf } from "../util/check.ts";
import { registerCpuKernels, registerNativeKernels, registerWasmKernels } from "./kernels/index.ts";
import { tf } from "./tf.ts";
import { requireTfjsNode } from "./tfjs-node.ts";

// Whoever computes on plain JavaScript, here or in a cell of their own, gets the mended kernels.
registerCpuKernels();

/** The backends, fastest first: the order in which `useBackend()` tries them. */
export const backendNames = ["native", "wasm", "cpu"] as const;
export type BackendName = (typeof backendNames)[number];

const engineNames: Record<BackendName, string> = { native: "tensorflow", wasm: "wasm", cpu: "cpu" };
const loaders: Record<BackendName, () => Promise<void>> = {
  native: loadNative,
  wasm: loadWasm,
  cpu: async () => {},
};

// Each backend is loaded at most once; a failure is kept too, since it will not mend itself within a process.
const loading = new Map<BackendName, Promise<Error | undefined>>();
let chosen: BackendName | undefined;
// What loading has left as TensorFlow.js's current backend where there was none: nobody's choice.
let leftover: string | undefined;

/**
 * Makes one backend the current one and returns its name.
 *
 * @param name `native`, `wasm` or `cpu`; without it the environment variable `SLIMLAB_BACKEND`, and without that
 *   the fastest one that loads on this machine
 * @throws RangeError for an unknown name, Error for one that does not load here; both list those that work
 */
export async function useBackend(name?: BackendName | (string & {})): Promise<BackendName> {
  const forced = name ?? (process.env.SLIMLAB_BACKEND || undefined);
  if (forced === undefined) {
    for (const candidate of backendNames) {
      if ((await load(candidate)) === undefined) return activate(candidate);
    }
    throw new Error("TensorFlow.js cannot start any backend: reinstall with npm ci");
  }
  const source = name === undefined ? "SLIMLAB_BACKEND" : "backend";
  if (!(backendNames as readonly string[]).includes(forced)) {
    const works = (await availableBackends()).join(", ");
    try {
      checkOneOf(source, forced, backendNames);
    } catch (error) {
      throw new RangeError(`${(error as Error).message}; these work here: ${works}`);
    }
  }
  const failure = await load(forced as BackendName);
  if (failure === undefined) return activate(forced as BackendName);
  const works = (await availableBackends()).join(", ");
  throw new Error(
    `${source} ${JSON.stringify(forced)} does not work here: ${firstLine(failure)}; these work here: ${works}`,
    { cause: failure },
  );
}

/** The backends that load on this machine, fastest first. */
export async function availableBackends(): Promise<BackendName[]> {
  const works: BackendName[] = [];
  for (const name of backendNames) if ((await load(name)) === undefined) works.push(name);
  return works;
}

/** Chooses a backend as `useBackend()` does, unless one has been chosen already. */
export async function ensureBackend(): Promise<BackendName> {
  const current = backendNames.find((name) => engineNames[name] === tf.getBackend());
  // Code that calls tf.setBackend itself knows what it wants. Plain JavaScript alone may be TensorFlow.js's own default.
  const wanted = chosen !== undefined || (current !== "cpu" && tf.getBackend() !== leftover);
  return current !== undefined && wanted ? current : useBackend();
}

/** One line that says which backend runs, for the top of a notebook or of a command's output. */
export function describeBackend(): string {
  const version = `TensorFlow.js ${tf.version.tfjs}`;
  switch (tf.getBackend()) {
    case "tensorflow":
      return `backend: native TensorFlow (tfjs-node ${tf.version.tfjs})`;
    case "wasm":
      return `backend: WASM with ${tf.env().get("WASM_HAS_SIMD_SUPPORT") ? "SIMD" : "no SIMD"} (${version})${nativeFailed ? "; npm run native installs the native one" : ""}`;
    case "cpu":
      return `backend: plain JavaScript (${version}), slow: SLIMLAB_BACKEND=wasm is much faster`;
    default:
      return `backend: ${tf.getBackend()} (${version})`;
  }
}

let nativeFailed = false;

async function activate(name: BackendName): Promise<BackendName> {
  if (!(await tf.setBackend(engineNames[name]))) throw new Error(`TensorFlow.js refuses backend ${name}`);
  await tf.ready();
  chosen = name;
  return name;
}

function load(name: BackendName): Promise<Error | undefined> {
  let result = loading.get(name);
  if (result === undefined) {
    const before = tf.getBackend();
    result = loaders[name]()
      .then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? error : new Error(JSON.stringify(error))),
      )
      .then(async (failure) => {
        // Loading tfjs-node makes it the current backend; asking what works must not change what runs.
        if (before && tf.getBackend() !== before) await tf.setBackend(before);
        else if (!before) leftover = tf.getBackend();
        return failure;
      });
    loading.set(name, result);
  }
  return result;
}

async function loadNative(): Promise<void> {
  // Node 23 removed these; tfjs-node 4.22 still calls them.
  const util = nodeUtil as unknown as Record<string, unknown>;
  util.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  util.isArray ??= Array.isArray;
  // TensorFlow's C++ side greets with a line on CPU features; warnings and errors still show.
  process.env.TF_CPP_MIN_LOG_LEVEL ??= "1";
  try {
    requireTfjsNode();
    registerNativeKernels();
  } catch (error) {
    nativeFailed = platformName === "node"; // A page has nothing to install.
    throw error;
  }
}

async function loadWasm(): Promise<void> {
  // Emscripten's start-up code adds handlers that throw every uncaught error anew, which ends the process: whoever
  // handles such errors, a Jupyter kernel or mocha, must be left in charge.
  const events = ["uncaughtException", "unhandledRejection"] as const;
  const before = events.map((event) => process.listeners(event as "uncaughtException"));
  try {
    await import("@tensorflow/tfjs-backend-wasm");
    registerWasmKernels();
    // `findBackend` would start it synchronously, which WebAssembly cannot: start it by making it current once.
    if (!(await tf.setBackend("wasm"))) throw new Error("WebAssembly did not start");
  } finally {
    events.forEach((event, i) => {
      for (const listener of process.listeners(event as "uncaughtException"))
        if (!before[i].includes(listener)) process.removeListener(event, listener);
    });
  }
}

function firstLine(error: Error): string {
  return error.message.split("\n")[0].trim();
}

// The JavaScript backend recommends tfjs-node in a banner at its first use; describeBackend() says it better. Its
// constructor assigns `firstUse`, so an accessor on the prototype catches every instance that TensorFlow.js makes. Where
// another copy of slimlab has put one there already, it stays: that copy's may not be replaced.
const plain = tf.findBackend("cpu");
if (plain) {
  (plain as unknown as { firstUse: boolean }).firstUse = false;
  Reflect.defineProperty(Object.getPrototypeOf(plain), "firstUse", { get: () => false, set() {} });
}
