// A front end for the browser's kernel, as small as one can be: bundled into the page that web.ts serves.
import type { ExecuteResult, Output } from "../../lib/kernel/client.ts";
import { type Channel, type Content, header, type Message } from "../../lib/kernel/protocol/messages.ts";
import type { CheckMode } from "../../lib/kernel/types/check.ts";
import { startWebKernel, type WebKernel } from "../../lib/kernel/web/kernel.ts";
import { Language } from "../../lib/kernel/web/language.ts";

interface Waiting {
  reply?: Message;
  idle: boolean;
  outputs: Output[];
  settle(): void;
}

/** Every message of the kernel's, for whoever holds them against the protocol's reference. */
const all: { channel: Channel; message: Message }[] = [];
const waiting = new Map<string, Waiting>();
const displays = new Map<string, { data: Content; metadata: Content }[]>();
let workers = 0;
let answers: string[] | undefined;
let kernel: WebKernel;

function take(channel: Channel, message: Message): void {
  all.push({ channel, message });
  const { header: head, parent_header, content } = message;
  const one = waiting.get(parent_header.msg_id ?? "");
  if (channel === "stdin") {
    const value = answers?.shift();
    if (value !== undefined) kernel.receive("stdin", request("input_reply", { value }));
    return;
  }
  if (head.msg_type === "update_display_data")
    for (const each of displays.get(content.transient.display_id) ?? []) each.data = content.data;
  if (!one) return;
  if (channel === "shell" || channel === "control") one.reply = message;
  else if (head.msg_type === "status") one.idle ||= content.execution_state === "idle";
  else addOutput(one.outputs, head.msg_type, content);
  one.settle();
}

let clearNext = false;
function addOutput(outputs: Output[], type: string, content: Content): void {
  if (type === "clear_output") {
    clearNext = content.wait === true;
    if (!clearNext) outputs.length = 0;
    return;
  }
  if (!["stream", "display_data", "execute_result", "error"].includes(type)) return;
  if (clearNext) outputs.length = 0;
  clearNext = false;
  const last = outputs.at(-1);
  if (type === "stream" && last?.output_type === "stream" && last.name === content.name) {
    last.text += content.text;
    return;
  }
  const { transient, ...rest } = content;
  const output = { output_type: type, ...rest } as unknown as Output;
  outputs.push(output);
  if (type === "display_data" && transient?.display_id) {
    const known = displays.get(transient.display_id) ?? [];
    displays.set(transient.display_id, [...known, output as never]);
  }
}

function request(type: string, content: Content): Message {
  return {
    identities: [],
    header: header(type, "page", "tester"),
    parent_header: {},
    metadata: {},
    content,
    buffers: [],
  };
}

const session = {
  /** Says what type errors do from here on. */
  check: (mode: CheckMode) => kernel.check(mode),
  /** How many workers have been started. */
  get workers(): number {
    return workers;
  },
  /** Takes the messages that came since the last call. */
  messages: () => all.splice(0),
  ask(
    channel: "shell" | "control",
    type: string,
    content: Content,
  ): Promise<{ content: Content; outputs: Output[] }> {
    const message = request(type, content);
    return new Promise((resolve) => {
      const one: Waiting = {
        idle: false,
        outputs: [],
        settle() {
          if (!one.reply || !one.idle) return;
          waiting.delete(message.header.msg_id);
          resolve({ content: one.reply.content, outputs: one.outputs });
        },
      };
      waiting.set(message.header.msg_id, one);
      kernel.receive(channel, message);
    });
  },
  async execute(code: string, more: Content = {}): Promise<ExecuteResult> {
    answers = more.answers;
    const asked = { code, silent: false, store_history: true, allow_stdin: answers !== undefined, ...more };
    const { content, outputs } = await session.ask("shell", "execute_request", asked);
    return { status: content.status, executionCount: content.execution_count, outputs, content };
  },
  /** Starts a cell and interrupts it when it prints; the time from the interrupt to its end in ms. */
  async interrupt(code: string): Promise<{ result: ExecuteResult; time: number }> {
    const running = session.execute(code, { answers: [] });
    const printed = () => [...waiting.values()].some(({ outputs }) => outputs.length > 0);
    while (!printed()) await new Promise((resolve) => setTimeout(resolve, 2));
    const start = performance.now();
    await session.ask("control", "interrupt_request", {});
    const result = await running;
    return { result, time: performance.now() - start };
  },
  /** Sends a message and resolves to what is published for it, until the kernel has dealt with it. */
  send(type: string, content: Content): Promise<Message[]> {
    const message = request(type, content);
    return new Promise((resolve) => {
      const mine = () =>
        all.map((one) => one.message).filter((one) => one.parent_header.msg_id === message.header.msg_id);
      waiting.set(message.header.msg_id, {
        idle: false,
        outputs: [],
        settle() {
          if (mine().at(-1)?.content.execution_state !== "idle") return;
          waiting.delete(message.header.msg_id);
          resolve(mine());
        },
      });
      kernel.receive("shell", message);
    });
  },
  /** What cells have printed, message by message. */
  texts: () => all.map(({ message }) => String(message.content.text ?? "")),
  /** The parents of the messages of a type so far, by what is written in them. */
  parents: (text: string) =>
    all
      .filter(({ message }) => message.content.text === text)
      .map(({ message }) => message.parent_header.msg_id),
};
export type Session = typeof session;

/** Where a site's worker and modules are; without one, the bare kernel's worker. */
const { site, typed } = globalThis as {
  site?: { worker: string; types: string; modules: Record<string, string> };
  typed?: boolean;
};

const types = site
  ? () => new Worker(site.types, { type: "module" })
  : typed
    ? () => new Worker("types.js")
    : undefined;

kernel = startWebKernel({
  worker: () => {
    workers++;
    return site ? new Worker(site.worker, { type: "module" }) : new Worker("cells.js");
  },
  language: types && new Language(types, "error"),
  modules: site?.modules ?? {},
  send: take,
  version: "1.2.3",
});
Object.assign(globalThis, { session });
