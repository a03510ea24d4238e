// What a kernel that has ended leaves to be said.

/** The error of every request that waits when the kernel's process ends. */
export class KernelDiedError extends Error {
  override name = "KernelDiedError";
}

/** What a process that has ended says of it, where it says something. */
export function lastWords(stderr: string): string {
  if (/heap out of memory/.test(stderr)) {
    // V8 says what its heap had grown to: "Mark-Compact 4038.1 (4128.6) -> …".
    const size = /Mark-Compact[^>]*\(([\d.]+)\) ->/.exec(stderr)?.[1];
    const limit = size ? `at ${Math.round(Number(size))} MB; ` : "";
    return `: the cell ran out of memory (${limit}NODE_OPTIONS=--max-old-space-size=MB raises the limit)`;
  }
  const fatal = /^.*FATAL ERROR.*$/m.exec(stderr)?.[0];
  const last = stderr.trim().split("\n").slice(-20).join("\n");
  if (fatal && !last.includes(fatal)) return `; its last words:\n${fatal}\n${last}`;
  return last ? `; its last words:\n${last}` : "";
}
