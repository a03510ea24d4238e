// Ends a kernel whose launcher has died: it would stay for ever.

/** Calls `gone` when the process that Jupyter's launcher says it is has ended. */
export function watchParent(gone: () => void): void {
  const parent = Number(process.env.JPY_PARENT_PID);
  if (!(parent > 1) || process.ppid !== parent) return;
  setInterval(() => {
    if (process.ppid !== parent) gone();
  }, 1000).unref();
}
