// Ends a kernel whose launcher has died: it would stay for ever.
import { isAlive } from "../../util/process.ts";

/** Calls `gone` once when the process that Jupyter's launcher says it is has ended, before this one was up or later. */
export function watchParent(gone: () => void): void {
  const parent = Number(process.env.JPY_PARENT_PID);
  if (!(parent > 1)) return;
  // A kernel that was started by way of another program has another parent, and the launcher may live on.
  const isChild = process.ppid === parent;
  const hasGone = () => (isChild ? process.ppid !== parent : !isAlive(parent));
  if (hasGone()) {
    gone();
    return;
  }
  const timer = setInterval(() => {
    if (!hasGone()) return;
    clearInterval(timer);
    gone();
  }, 1000);
  timer.unref();
}
