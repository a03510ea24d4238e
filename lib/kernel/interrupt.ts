// The server's side of an interrupt. Three places the user's code can be in, and what stops it there:
//
// - awaiting something: the main thread's event loop is free, and a message does.
// - busy in the part of a cell before its first real wait: SIGINT stops it, for it runs with V8's `breakOnSigint`.
//   SIGINT outside that part would end the process, so a handshake (`guard` in link.ts) makes sure of the place.
// - busy in a callback after a wait: only a debugger can get in. It pauses the thread, and resumes it with termination.
import { Session } from "node:inspector";
import { guard, shared } from "./link.ts";

let pings = 0;

/**
 * Stops what the user's code is doing. `ping` sends the message and resolves when the main thread has seen it. `release`
 * lets go of what a breakpoint holds; it is told whether SIGINT is on its way.
 */
export async function interruptMain(
  numbers: Int32Array,
  ping: (id: number) => Promise<void>,
  release: (struck: boolean) => void,
): Promise<void> {
  const seen = ping(++pings);
  let struck = strike(numbers);
  release(struck);
  for (let tries = 0; tries < 20; tries++) {
    // A callback that is merely slow gets a little time to end by itself. The signal gets much: it does arrive, and
    // two ways of stopping at once would stop the kernel's own work after the cell's.
    const time = struck ? 3000 : tries > 0 ? 250 : 60;
    const isFree = await Promise.race([seen.then(() => true), pause(time)]);
    if (isFree) return;
    struck = await terminate(numbers);
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

const ownFolder = new URL(".", import.meta.url).href;

/** Whether a place in the code is neither Node's nor the kernel's. */
function isUsers(url: string): boolean {
  return !url.startsWith("node:") && !url.startsWith(ownFolder);
}

/** Cuts off what runs. A cell that has begun meanwhile is struck instead, so that the kernel sees it end: returns true. */
async function terminate(numbers: Int32Array): Promise<boolean> {
  const session = new Session();
  session.connectToMainThread();
  try {
    const paused = new Promise<{ callFrameId: string; url: string }[]>((resolve) => {
      session.once("Debugger.paused", ({ params }) => resolve(params.callFrames));
    });
    session.post("Debugger.enable");
    session.post("Debugger.pause");
    const frames = await Promise.race([paused, pause(500)]);
    if (frames === false) return false; // It ended meanwhile, or sits in native code, which nothing can stop.
    // What the user's code has called may be cut off with it. The kernel's own work between cells must not be.
    const struck = strike(numbers);
    const terminateOnResume = !struck && frames.some(({ url }) => isUsers(url));
    if (terminateOnResume) {
      await new Promise<void>((resolve) => {
        const expression = `globalThis[Symbol.for("${repairName}")]?.()`;
        const callFrameId = frames[0].callFrameId;
        session.post("Debugger.evaluateOnCallFrame", { callFrameId, expression, silent: true }, () =>
          resolve(),
        );
      });
    }
    await new Promise<void>((resolve) => {
      session.post("Debugger.resume", { terminateOnResume }, () => resolve());
    });
    return struck;
  } finally {
    session.post("Debugger.disable");
    session.disconnect();
  }
}
