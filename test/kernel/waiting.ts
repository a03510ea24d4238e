// Tests wait for what happens, not for time to pass: a busy machine makes every guess at a time wrong.
import type { ExecuteOptions, ExecuteResult, KernelClient, Message } from "../../lib/kernel/client.ts";

/** What a cell says when it is where a test wants it: `console.log("going")` in its code. */
const going = "going";

/** Starts a cell whose code prints "going" somewhere, and resolves when it has: the cell runs on meanwhile. */
export async function start(
  kernel: KernelClient,
  code: string,
  options: ExecuteOptions = {},
): Promise<{ running: Promise<ExecuteResult> }> {
  let running: Promise<ExecuteResult> | undefined;
  const printed = new Promise<void>((resolve) => {
    running = kernel.execute(code, {
      ...options,
      onMessage: (message) => {
        options.onMessage?.(message);
        if (message.header.msg_type === "stream" && message.content.text.startsWith(going)) resolve();
      },
    });
  });
  // A cell that ends without a word: the test sees its result instead of waiting for ever.
  await Promise.race([printed, running]);
  return { running: running! };
}

/** The first message from now on that is the one looked for. */
export function nextMessage(kernel: KernelClient, wanted: (message: Message) => boolean): Promise<Message> {
  return new Promise((resolve) => {
    const stop = kernel.onMessage((message) => {
      if (!wanted(message)) return;
      stop();
      resolve(message);
    });
  });
}

/** Sends a message on shell and collects what is published for it, until the kernel has dealt with it. */
export async function sendAndWait(
  kernel: KernelClient,
  type: string,
  content: object,
  buffers: Uint8Array[] = [],
): Promise<Message[]> {
  const seen: Message[] = [];
  let sent = "";
  const idle = nextMessage(kernel, (message) => {
    if (message.parent_header.msg_id !== sent) return false;
    seen.push(message);
    return message.header.msg_type === "status" && message.content.execution_state === "idle";
  });
  sent = kernel.send("shell", type, content, { buffers });
  await idle;
  return seen;
}

/** Looks again and again until something holds that sends no event; an error that names it after `limit` ms. */
export async function until(
  what: string,
  holds: () => unknown | Promise<unknown>,
  limit = 30_000,
): Promise<void> {
  const end = Date.now() + limit;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`waited ${limit / 1000} s in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
