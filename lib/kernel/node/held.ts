// Text that the main thread holds back, to gather more of it, leaves by a timer there, which a loop without a wait never lets
// run. So it is called for from here, by the inspector, which reaches code wherever it is.
import { Session } from "node:inspector";
import { debugName } from "./interrupt.ts";
import { shared } from "./link.ts";

/** How often it is looked for, in ms: what waits longer than that is called for. */
const pause = 100;

/** Looks after held text until the returned function is called. */
export function watchHeldText(numbers: Int32Array): () => void {
  let before = 0;
  const timer = setInterval(() => {
    const now = Atomics.load(numbers, shared.held);
    if (now !== 0 && now === before) callFor();
    before = now;
  }, pause);
  return () => clearInterval(timer);
}

function callFor(): void {
  const session = new Session();
  session.connectToMainThread();
  const expression = `globalThis[Symbol.for("${debugName}")]?.flushAmid()`;
  session.post("Runtime.evaluate", { expression, silent: true, disableBreaks: true }, () =>
    session.disconnect(),
  );
}
