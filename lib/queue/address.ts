// The address of a queue: a Redis server. Whatever is printed of it holds no password.
import { shown } from "../util/check.ts";

/** Keeps a password out of the list of processes, where an address on the command line stands. */
export const passwordVariable = "SLIMLAB_QUEUE_PASSWORD";

/** Where a queue is. */
export interface QueueAddress {
  /** For the client: with the password. */
  url: string;
  /** For people: without it. */
  shown: string;
}

const example = "redis://127.0.0.1:6379";

/**
 * Reads an address.
 *
 * @throws RangeError that names no password, for what is no address of a Redis server
 */
export function queueAddress(text: string, variables: Record<string, string | undefined> = {}): QueueAddress {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    // What cannot be read may still hold a password, so it is not shown.
    throw new RangeError(`the queue's address must be such as ${example}; what was given cannot be read`);
  }
  if (url.protocol !== "redis:" && url.protocol !== "rediss:") {
    throw new RangeError(
      `the queue's address must begin with redis:// or, encrypted, rediss://, got ${shown(url.protocol)}`,
    );
  }
  if (url.hostname === "") throw new RangeError(`the queue's address must name a host, such as ${example}`);
  if (!/^\/?\d*$/.test(url.pathname)) {
    throw new RangeError(
      `the queue's address may end with the number of a database, got ${shown(url.pathname)}`,
    );
  }
  if (url.password === "" && variables[passwordVariable]) {
    url.password = encodeURIComponent(variables[passwordVariable]);
  }
  const open = new URL(url.href);
  open.password = "";
  open.username = "";
  open.search = "";
  return { url: url.href, shown: open.href };
}
