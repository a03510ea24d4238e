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

/** Two interrupts do not stop the main thread at once: the second goes on when the first has had its effect. */
let cutting = Promise.resolve();

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
  ping: () => Promise<void>,
  held: boolean,
): Promise<boolean> {
  Atomics.store(numbers, shared.interrupting, interrupting.running);
  const seen = ping().then(() => true);
  const later = setTimeout(
    () => Atomics.store(numbers, shared.interrupting, interrupting.all),
    patienceWithOthers,
  );
  const over = seen.finally(() => {
    clearTimeout(later);
    Atomics.store(numbers, shared.interrupting, interrupting.no);
  });
  cutting = cutting.then(() => cutOff(numbers, seen, held));
  return Promise.race([over, pause(patience)]);
}

async function cutOff(numbers: Int32Array, seen: Promise<boolean>, held: boolean): Promise<void> {
  // What is merely slow, or looks at `shared.interrupting`, gets a little time to end by itself. In a cell's first part the
  // debugger, which needs longer than that to get ready, is called for at once.
  const isInside = Atomics.load(numbers, shared.guard) === guard.inside;
  const operations = () => Atomics.load(numbers, shared.operations);
  const unwinds = operations() !== 0 || (isInside && Atomics.load(numbers, shared.comesBy) !== 0);
  let time = held ? 0 : unwinds ? patienceWithUnwinding : isInside ? 5 : 60;
  let line = isInside && !unwinds ? new DebugLine() : undefined;
  const begun = performance.now();
  try {
    for (;;) {
      if (await Promise.race([seen, pause(time)])) return;
      if (!held && operations() % 2 !== 0 && performance.now() - begun < patienceWithPackages) {
        time = 10;
        continue;
      }
      line ??= new DebugLine();
      const how = await stop(line, numbers, seen, begun);
      time = how === "signal" ? patienceWithSignal : how === "cut" ? 250 : 10;
      if (how !== "signal" && !line.steps) continue;
      // A stop that is still asked for would come amid the kernel's own work after the cell.
      line.close();
      line = undefined;
    }
  } finally {
    line?.close();
  }
}

/** Sends SIGINT if the user's code is where that stops it, and nothing else. Returns whether it is. */
function strike(numbers: Int32Array): boolean {
  // Windows has no signal that a process can send to itself without dying of it.
  if (process.platform === "win32") return false;
  const place = Atomics.compareExchange(numbers, shared.guard, guard.inside, guard.struck);
  // V8 may drop what a signal wants, amid microtasks: the main thread then waits for another one.
  if (place === guard.outside) return false;
  process.kill(process.pid, "SIGINT");
  return true;
}

/** Resolves with false after a time. */
export function pause(milliseconds: number): Promise<false> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds, false));
}

/** After this time (in ms) a signal has had its effect, or has none. */
const patienceWithSignal = 1500;

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
/**
 * TensorFlow.js's operations end by themselves, and within this time (in ms) the next one throws; so does the next wait of
 * an endless chain of them. A debugger would have V8 compile all of TensorFlow.js's WebAssembly again, and amid such chains
 * V8 drops signals, and aborts where it compiles a function that the debugger stops in: kernels were seen to die of both.
 */
const patienceWithUnwinding = 250;
/** After this time (in ms) the signal may come anywhere: it does not seem to come to a line of the user's. */
const patienceWithNode = 3000;

interface CallFrame {
  callFrameId: string;
  location: { scriptId: string; lineNumber: number; columnNumber?: number };
}

/** A debugger of the main thread, ready to stop it in lines that are not Node's or the kernel's. */
class DebugLine {
  readonly #session = new Session();
  /** The names of scripts, by their ids: before Node 22 a frame does not tell. */
  readonly #scripts = new Map<string, string>();
  /** Where the main thread stands, while it does. */
  #frames: CallFrame[] | undefined;
  #paused = () => {};
  /** The main thread takes messages: it is in no native code, though it may need long to get ready. */
  hears = false;
  /** It has been told to step: where it stops may be amid an expression. */
  steps = false;

  constructor() {
    const session = this.#session;
    session.connectToMainThread();
    session.post("Schema.getDomains", () => {
      this.hears = true;
    });
    session.on("Debugger.scriptParsed", ({ params }) => this.#scripts.set(params.scriptId, params.url));
    session.on("Debugger.paused", ({ params }) => {
      this.#frames = params.callFrames;
      this.#paused();
    });
    session.on("Debugger.resumed", () => {
      this.#frames = undefined;
    });
    session.post("Debugger.enable");
  }

  /** It stops nowhere in these scripts, if there is another to stop in. */
  passOver(patterns: string[]): void {
    this.#session.post("Debugger.setBlackboxPatterns", { patterns });
  }

  isIn(pattern: RegExp, { location }: CallFrame): boolean {
    return pattern.test(this.#scripts.get(location.scriptId) ?? "");
  }

  /**
   * Whether a function waits from here on. It is then known already to what it waits for, which would resume it: cut off at
   * this place it can be neither, and V8 ends the process when it next looks who waits ("generator_object->is_suspended()").
   */
  isAtWait({ location }: CallFrame): Promise<boolean> {
    const { scriptId, lineNumber, columnNumber = 0 } = location;
    return new Promise((resolve) => {
      this.#session.post("Debugger.getScriptSource", { scriptId }, (error, answer) => {
        const text = error ? "" : (answer.scriptSource.split(/\r\n|[\n\r\u2028\u2029]/)[lineNumber] ?? "");
        resolve(/^(?:await|yield|for|return)\b/.test(text.slice(columnNumber)));
      });
    });
  }

  /**
   * Waits until the main thread has stopped: where it is, or where it has come out of that. What does not come in time may
   * come later: a collector of much garbage holds it up.
   */
  async stop(
    method: "pause" | "stepOut" | "stepOver",
    seen: Promise<unknown>,
    time: number,
  ): Promise<CallFrame[] | undefined> {
    if (method === "pause" && this.#frames) return this.#frames;
    this.#frames = undefined;
    this.steps ||= method !== "pause";
    const paused = new Promise<void>((resolve) => {
      this.#paused = resolve;
    });
    this.#session.post(`Debugger.${method}`);
    await Promise.race([paused, seen, pause(time)]);
    return this.#frames;
  }

  /** Evaluates an expression where the main thread has stopped. */
  evaluate({ callFrameId }: CallFrame, expression: string): Promise<void> {
    return new Promise((resolve) => {
      this.#session.post("Debugger.evaluateOnCallFrame", { callFrameId, expression, silent: true }, () =>
        resolve(),
      );
    });
  }

  resume(terminateOnResume: boolean): Promise<void> {
    this.#frames = undefined;
    return new Promise((resolve) => {
      this.#session.post("Debugger.resume", { terminateOnResume }, () => resolve());
    });
  }

  close(): void {
    this.#session.post("Debugger.disable");
    this.#session.disconnect();
  }
}

/**
 * Stops the main thread and cuts off what runs, by the signal where it may, in a line of the user's code or a package's:
 * neither Node nor the kernel survives a cut inside. For a time after the interrupt has `begun` packages may finish what
 * they are doing.
 */
async function stop(
  line: DebugLine,
  numbers: Int32Array,
  seen: Promise<unknown>,
  begun: number,
): Promise<"signal" | "cut" | "not"> {
  const isOver = () => Promise.race([seen, false]);
  line.passOver(internalScripts);
  let frames = await line.stop("pause", seen, 300);
  // It sits in native code, which nothing can stop, or in a regular expression, which the signal can.
  if (!frames) {
    const isReady = line.hears && performance.now() - begun < patienceWithPackages;
    return !isReady && !(await isOver()) && strike(numbers) ? "signal" : "not";
  }
  const isPackages = (frame: CallFrame) => line.isIn(packages, frame) && !line.isIn(internal, frame);
  // Out of what packages do and of what they call, until none of them waits for its end; out of Node's own in any case.
  let anywhere = false;
  while (frames.length > 0) {
    const [top] = frames;
    const past = performance.now() - begun;
    const left = frames.some(isPackages) ? patienceWithPackages - past : 0;
    anywhere = past > patienceWithNode;
    const isOut = left <= 0 && (anywhere || !line.isIn(uncut, top));
    if (isOut && !(line.steps && (await line.isAtWait(top)))) break;
    line.passOver([...internalScripts, ...(left > 0 ? packageScripts : [wasmScripts])]);
    const time = left > 0 ? Math.min(left, 250) : 1000;
    frames = await line.stop(isOut ? "stepOver" : "stepOut", seen, time);
    if (!frames) return "not";
  }
  // What the main thread does by now may not be what was to end.
  if (await isOver()) return "not";
  const top = frames.at(0);
  const isClean = top && !line.isIn(uncut, top);
  if ((isClean || anywhere) && strike(numbers)) {
    await pause(5); // A thread of Node's takes the signal.
    await line.resume(false);
    return "signal";
  }
  if (!isClean) {
    await line.resume(false);
    return "not";
  }
  await line.evaluate(top, `globalThis[Symbol.for("${repairName}")]?.()`);
  await line.resume(true);
  return "cut";
}
