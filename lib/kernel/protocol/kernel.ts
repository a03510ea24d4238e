// The kernel's core: takes messages from clients, answers them, publishes what comes of them. It knows the protocol, and
// neither how messages travel nor who runs the code: see host.ts.
import { Cells } from "./cells.ts";
import type { Host, Outputs } from "./host.ts";
import { type Content, header, type Message, type Origin } from "./messages.ts";
import { Publisher } from "./publisher.ts";
import type { PublishedContent, PublishedType } from "./reference.ts";
import { failure, type Request } from "./request.ts";
import { handlersOf, type Parts } from "./requests.ts";

const handlers = { shell: handlersOf("shell"), control: handlersOf("control") };

/** What a person reads who waits in vain. */
const stuck =
  "The cell does not stop: it is busy in code that nothing can interrupt. Wait for it, or restart the kernel.";

export class Kernel implements Outputs {
  readonly #parts: Parts;
  #asking = false;
  #leaving = false;
  #dropped = 0;

  constructor(host: Host) {
    const { transport, session, username } = host;
    const publisher = new Publisher(
      transport,
      session,
      username,
      (text) => host.log(text),
      host.translate && ((type, content) => host.translate!(type, content)),
    );
    this.#parts = {
      host,
      publisher,
      cells: new Cells(host, publisher),
      comms: new Map(),
      interrupt: () => this.interrupt(),
      shutdown: (request) => this.#shutdown(request),
      debugParent: {},
    };
    host.interpreter.connect(this);
  }

  // ---- From clients --------------------------------------------------------------------------------------------------

  /** Says that the kernel is up. */
  start(): void {
    this.#parts.publisher.status("starting", {});
  }

  /** Takes a client's message: one that may be believed. */
  receive(channel: "shell" | "control" | "stdin", message: Message): void {
    if (channel === "stdin") this.#takeAnswer(message);
    else void this.#answer(channel, message);
  }

  /** A client has subscribed to iopub. */
  subscribed(topic: Uint8Array): void {
    this.#parts.publisher.welcome(topic);
  }

  /** A message is not taken. A flood of bad messages must not become a flood of log lines. */
  drop(channel: string, why: string): void {
    const dropped = ++this.#dropped;
    if (dropped <= 20 || dropped % 1000 === 0)
      this.#parts.host.log(`dropped a message on ${channel}: ${why} (${dropped} so far)`);
  }

  async #answer(channel: "shell" | "control", message: Message): Promise<void> {
    const { publisher, cells, host } = this.#parts;
    const type = message.header.msg_type;
    const request = this.#request(channel, message);
    publisher.status("busy", message.header);
    try {
      if (Object.hasOwn(handlers[channel], type)) await handlers[channel][type](request, this.#parts);
      else this.#refuse(request);
    } catch (error) {
      const { name, message: text, stack } = error as Error;
      host.log(`${type} failed: ${stack ?? text}`);
      if (type.endsWith("_request")) request.reply(failure(name, text));
    }
    if (this.#leaving) return;
    publisher.status("idle", message.header);
    // A front end takes the last status of the shell's for the kernel's: the cell that still runs has the last word. (Not
    // after control: JupyterLab's debugger asks anew at each message of a cell's, without end.)
    if (channel === "control") return;
    for (const one of cells.running)
      if (one.message !== message) publisher.status("busy", one.message.header);
  }

  #request(channel: "shell" | "control", message: Message): Request {
    const { publisher, host } = this.#parts;
    const type = message.header.msg_type.replace(/_request$/, "_reply");
    const origin: Origin = {
      header: message.header,
      identities: message.identities,
      silent: false,
      stdin: false,
    };
    const send = (content: Content, metadata: Content, failed?: (error: Error) => void) =>
      host.transport.send(
        channel,
        {
          identities: message.identities,
          header: header(type, host.session, host.username),
          parent_header: message.header,
          metadata,
          content,
          buffers: [],
        },
        { failed },
      );
    return {
      channel,
      message,
      origin,
      reply(content, { metadata = {} } = {}) {
        publisher.flush();
        send(content, metadata, (error) => {
          // The client waits: a reply must come, whatever was to stand in it.
          host.log(`a reply could not be sent: ${error.message}`);
          send(failure(error.name, `the reply could not be sent: ${error.message}`), metadata);
        });
      },
    };
  }

  #refuse({ channel, message, reply }: Request): void {
    const type = message.header.msg_type;
    this.drop(channel, `no message type ${JSON.stringify(type).slice(0, 80)} here`);
    if (type.endsWith("_request"))
      reply(failure("NotImplementedError", `the kernel has no ${type} on ${channel}`));
  }

  // ---- Input ---------------------------------------------------------------------------------------------------------

  ask(origin: Origin, prompt: string, password: boolean): void {
    const { publisher, host } = this.#parts;
    publisher.flush();
    this.#asking = true;
    const content: PublishedContent<"input_request"> = { prompt, password };
    host.transport.send("stdin", {
      identities: origin.identities,
      header: header("input_request", host.session, host.username),
      parent_header: origin.header,
      metadata: {},
      content,
      buffers: [],
    });
  }

  #takeAnswer({ header, content }: Message): void {
    if (header.msg_type !== "input_reply" || !this.#asking) return;
    this.#asking = false;
    this.#parts.host.interpreter.answer(String(content.value ?? ""));
  }

  // ---- From the interpreter and the debugger -------------------------------------------------------------------------

  stream(origin: Origin, name: "stdout" | "stderr", text: string, sent?: (characters: number) => void): void {
    if (origin.silent) sent?.(text.length);
    else this.#parts.publisher.stream(origin, name, text, sent);
  }

  publish(
    origin: Origin,
    type: PublishedType,
    content: Content,
    more: { metadata?: Content; buffers?: Uint8Array[]; sent?: () => void } = {},
  ): void {
    const { comms, publisher } = this.#parts;
    if (type === "comm_open") comms.set(content.comm_id, content.target_name);
    if (type === "comm_close") comms.delete(content.comm_id);
    if (origin.silent && !type.startsWith("comm_")) more.sent?.();
    else publisher.publish(type, content as never, origin.header, more);
  }

  /** Publishes an event of the debugger's. */
  debugEvent(content: Content): void {
    const { publisher, debugParent } = this.#parts;
    publisher.publish("debug_event", content as PublishedContent<"debug_event">, debugParent);
  }

  /** Whether what ran has ended; if not, its cells say so. */
  async interrupt(): Promise<boolean> {
    this.#asking = false;
    const { cells, host, publisher } = this.#parts;
    cells.interrupted();
    const isFree = await host.interpreter.interrupt();
    if (!isFree) for (const { origin } of cells.running) publisher.stream(origin, "stderr", `${stuck}\n`);
    return isFree;
  }

  // ---- The end -------------------------------------------------------------------------------------------------------

  async #shutdown({ message, reply }: Request<"shutdown_reply">): Promise<void> {
    const { publisher, host } = this.#parts;
    const content = { status: "ok", restart: message.content.restart === true } as const;
    reply(content);
    publisher.publish("shutdown_reply", content, message.header);
    publisher.status("idle", message.header);
    this.#leaving = true;
    await host.transport.drained();
    await host.leave();
  }
}
