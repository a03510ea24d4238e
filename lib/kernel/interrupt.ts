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
  let struck = false;
  // Windows has no signal that a process can send to itself without dying of it.
  if (process.platform !== "win32") {
    if (Atomics.compareExchange(numbers, shared.guard, guard.inside, guard.struck) === guard.inside) {
      struck = true;
      process.kill(process.pid, "SIGINT");
    }
  }
  release(struck);
  for (let tries = 0; tries < 20; tries++) {
    // A callback that is merely slow gets a little time to end by itself.
    const isFree = await Promise.race([seen.then(() => true), pause(tries === 0 ? 60 : 250)]);
    if (isFree) return;
    await terminate();
  }
}

function pause(milliseconds: number): Promise<false> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds, false));
}

/** The global function that puts Node's own records in order before its callback is cut off. */
export const repairName = "slimlab.repair";

/** The global by which the debugger reaches the main thread's streams and displays. */
export const debugName = "slimlab.debug";

async function terminate(): Promise<void> {
  const session = new Session();
  session.connectToMainThread();
  try {
    const paused = new Promise<string>((resolve) => {
      session.once("Debugger.paused", (message) => resolve(message.params.callFrames[0]?.callFrameId ?? ""));
    });
    session.post("Debugger.enable");
    session.post("Debugger.pause");
    const frame = await Promise.race([paused, pause(500)]);
    if (frame === false) return; // It ended meanwhile, or sits in native code, which nothing can stop.
    await new Promise<void>((resolve) => {
      const expression = `globalThis[Symbol.for("${repairName}")]?.()`;
      if (!frame) resolve();
      else {
        session.post("Debugger.evaluateOnCallFrame", { callFrameId: frame, expression, silent: true }, () =>
          resolve(),
        );
      }
    });
    await new Promise<void>((resolve) => {
      session.post("Debugger.resume", { terminateOnResume: true }, () => resolve());
    });
  } finally {
    session.post("Debugger.disable");
    session.disconnect();
  }
}
