// The server's side of an interrupt. Three places the user's code can be in, and what stops it there:
//
// - awaiting something: the main thread's event loop is free, and a message does.
// - busy in the part of a cell before its first real wait: SIGINT stops it, for it runs with V8's `breakOnSigint`.
//   SIGINT outside that part would end the process, so a handshake (`guard` in link.ts) makes sure of the place. And it
//   would end the process where V8 is busy with a cell's end, so a debugger stops the cell first, in its own code.
// - busy in a callback after a wait: the debugger resumes it with termination.
import { Session } from "node:inspector";
import { literally } from "../../util/pattern.ts";
import { guard, interrupting, shared } from "./link.ts";

let pings = 0;

/** After this time (in ms) the person is told that what runs does not stop. */
const patience = 4500;
/** After this time, what holds up the rest must end, whosever it is. */
const patienceWithOthers = 500;

/**
 * Stops what the user's code is doing. `ping` sends the message and resolves when the main thread has seen it. `held`: a
 * breakpoint holds the main thread. Returns whether the main thread is free again; if not, it is still being tried.
 */
export async function interruptMain(
  numbers: Int32Array,
  ping: (id: number) => Promise<void>,
  held: boolean,
): Promise<boolean> {
  Atomics.store(numbers, shared.interrupting, interrupting.running);
  const seen = ping(++pings).then(() => true);
  const later = setTimeout(
    () => Atomics.store(numbers, shared.interrupting, interrupting.all),
    patienceWithOthers,
  );
  const over = seen.finally(() => {
    clearTimeout(later);
    Atomics.store(numbers, shared.interrupting, interrupting.no);
  });
  void cutOff(numbers, seen, held);
  return Promise.race([over, pause(patience)]);
}

async function cutOff(numbers: Int32Array, seen: Promise<boolean>, held: boolean): Promise<void> {
  // What is merely slow, or looks at `shared.interrupting`, gets a little time to end by itself. In a cell's first part the
  // debugger, which needs longer than that to get ready, is called for at once.
  const isInside = Atomics.load(numbers, shared.guard) === guard.inside;
  let time = held ? 0 : isInside ? 5 : 60;
  let line = isInside ? new DebugLine() : undefined;
  const until = performance.now() + patienceWithPackages;
  for (let tries = 0; tries < 50; tries++) {
    if (await Promise.race([seen, pause(time)])) {
      line?.close();
      return;
    }
    const how = await stop(line ?? new DebugLine(), numbers, seen, until, tries > 10);
    line = undefined;
    // The signal gets much time: it does arrive, and a second one would stop the kernel's own work after the cell's.
    time = how === "signal" ? 3000 : how === "cut" ? 250 : 10;
  }
}

/** Sends SIGINT if the user's code is where that stops it, and nothing else. Returns whether it is. */
function strike(numbers: Int32Array): boolean {
  // Windows has no signal that a process can send to itself without dying of it.
  if (process.platform === "win32") return false;
  const place = Atomics.compareExchange(numbers, shared.guard, guard.inside, guard.struck);
  if (place !== guard.inside) return false;
  process.kill(process.pid, "SIGINT");
  return true;
}

function pause(milliseconds: number): Promise<false> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds, false));
}

/** The global function that puts Node's own records in order before its callback is cut off. */
export const repairName = "slimlab.repair";

/** The global by which the debugger reaches the main thread's streams and displays. */
export const debugName = "slimlab.debug";

export const kernelFolder = new URL(".", import.meta.url).href;

/** Node's code and the kernel's, as patterns for the debugger. */
export const internalScripts = ["^node:", `^${literally(kernelFolder)}`, "^evalmachine", "^$"];

const internal = new RegExp(internalScripts.join("|"));

const wasmScripts = "^wasm:";

/** Packages' code, slimlab's own among it, and WebAssembly's. */
const packageScripts = [
  "[\\\\/]node_modules[\\\\/]",
  `^${literally(new URL("../../", import.meta.url).href)}`,
  wasmScripts,
];

const packages = new RegExp(packageScripts.join("|"));
/** No cut comes within these. */
const uncut = new RegExp([...internalScripts, wasmScripts].join("|"));

/**
 * What is cut off within a package leaves that in the middle of its work, for no `finally` runs: after one cut inside a
 * gradient, TensorFlow.js would find none ever again, and after one inside WebAssembly its memory would be out of order. A
 * training comes back to its loop many times a second; after this time (in ms) it is cut off all the same.
 */
const patienceWithPackages = 1500;

interface CallFrame {
  callFrameId: string;
  location: { scriptId: string };
}

/** A debugger of the main thread, ready to stop it in lines that are not Node's or the kernel's. */
class DebugLine {
  readonly session = new Session();
  /** The names of scripts, by their ids: before Node 22 a frame does not tell. */
  readonly #scripts = new Map<string, string>();

  constructor() {
    const { session } = this;
    session.connectToMainThread();
    session.on("Debugger.scriptParsed", ({ params }) => this.#scripts.set(params.scriptId, params.url));
    session.post("Debugger.enable");
    this.passOver(internalScripts);
  }

  /** It stops nowhere in these scripts. */
  passOver(patterns: string[]): void {
    this.session.post("Debugger.setBlackboxPatterns", { patterns });
  }

  isIn(pattern: RegExp, { location }: CallFrame): boolean {
    return pattern.test(this.#scripts.get(location.scriptId) ?? "");
  }

  close(): void {
    this.session.post("Debugger.disable");
    this.session.disconnect();
  }
}

/**
 * Stops the main thread and cuts off what runs, by the signal where it may, in a line of the user's code or a package's:
 * neither Node nor the kernel survives a cut inside. `until` then packages may finish what they are doing; what does not
 * come to a line at all is cut off by the signal wherever it is, if that goes on for long (`anywhere`).
 */
async function stop(
  line: DebugLine,
  numbers: Int32Array,
  seen: Promise<unknown>,
  until: number,
  anywhere: boolean,
): Promise<"signal" | "cut" | "not"> {
  const { session } = line;
  try {
    const pauseBy = (method: "Debugger.pause" | "Debugger.stepOut", time: number) => {
      const paused = new Promise<CallFrame[]>((resolve) => {
        session.once("Debugger.paused", ({ params }) => resolve(params.callFrames));
      });
      session.post(method);
      return Promise.race([paused, seen.then(() => undefined), pause(time)]);
    };
    const isPackages = (frame: CallFrame) => line.isIn(packages, frame) && !line.isIn(internal, frame);
    const resume = (terminateOnResume: boolean) =>
      new Promise<void>((resolve) => {
        session.post("Debugger.resume", { terminateOnResume }, () => resolve());
      });
    let frames = await pauseBy("Debugger.pause", 300);
    // It sits in native code, which nothing can stop, or in a regular expression, which the signal can.
    if (!frames) return frames === false && strike(numbers) ? "signal" : "not";
    // Out of what packages do and of what they call, until none of them waits for its end.
    line.passOver([...internalScripts, ...packageScripts]);
    while (frames.some(isPackages)) {
      const left = until - performance.now();
      if (left <= 0) break;
      frames = await pauseBy("Debugger.stepOut", Math.min(left, 250));
      if (!frames) return "not";
    }
    const [top] = frames;
    const isClean = !line.isIn(uncut, top);
    if ((isClean || anywhere) && strike(numbers)) {
      await pause(5); // A thread of Node's takes the signal.
      await resume(false);
      return "signal";
    }
    if (!isClean) {
      await resume(false);
      return "not";
    }
    await new Promise<void>((resolve) => {
      const expression = `globalThis[Symbol.for("${repairName}")]?.()`;
      const { callFrameId } = top;
      session.post("Debugger.evaluateOnCallFrame", { callFrameId, expression, silent: true }, () =>
        resolve(),
      );
    });
    await resume(true);
    return "cut";
  } finally {
    line.close();
  }
}
