// The server's line to the main thread: what it asks of the user's side, and what comes back.
import type { MessagePort } from "node:worker_threads";
import type { CellEnd, Outputs } from "../protocol/host.ts";
import type { Message, Origin } from "../protocol/messages.ts";
import { interruptMain, pause } from "./interrupt.ts";
import { type RunRequest, type ServerData, shared, type ToMain, type ToServer } from "./link.ts";

export class MainThread {
  readonly #port: MessagePort;
  readonly #data: ServerData;
  readonly #ends = new Map<number, (end: CellEnd) => void>();
  readonly #handled = new Map<string, () => void>();
  readonly #pongs = new Map<number, () => void>();
  #pings = 0;
  /** Counts what has left, so that a cell that waits can go on. */
  readonly #left = (size: number) => {
    Atomics.sub(this.#data.shared, shared.backlog, size);
    Atomics.notify(this.#data.shared, shared.backlog);
  };

  constructor(port: MessagePort, data: ServerData) {
    this.#port = port;
    this.#data = data;
  }

  /** From here on, what the main thread says goes to the kernel. */
  connect(outputs: Outputs): void {
    this.#port.on("message", (message: ToServer) => this.#take(message, outputs));
  }

  #take(message: ToServer, outputs: Outputs): void {
    switch (message.type) {
      case "bye":
        // This thread ends itself, between two turns: ended from outside in the middle of a call into ZeroMQ's addon, it
        // would take the process down with an abort.
        process.exit(0);
        break;
      case "stream":
        outputs.stream(message.origin, message.name, message.text, this.#left);
        break;
      case "publish":
        outputs.publish(message.origin, message.msgType, message.content, {
          metadata: message.metadata,
          buffers: message.buffers,
          sent: () => this.#left(message.size),
        });
        break;
      case "done":
        this.#ends.get(message.run)?.(message);
        this.#ends.delete(message.run);
        break;
      case "handled": {
        const id = message.origin.header.msg_id ?? "";
        this.#handled.get(id)?.();
        this.#handled.delete(id);
        break;
      }
      case "pong":
        this.#pongs.get(message.ping)?.();
        this.#pongs.delete(message.ping);
        break;
      case "input":
        outputs.ask(message.origin, message.prompt, message.password);
        break;
    }
  }

  #post(message: ToMain): void {
    this.#port.postMessage(message);
  }

  run(request: RunRequest): Promise<CellEnd> {
    const end = new Promise<CellEnd>((resolve) => this.#ends.set(request.run, resolve));
    this.#post(request);
    return end;
  }

  /** Resolves when the code that listens has handled a comm's message. */
  comm(origin: Origin, { header, content, metadata, buffers }: Message): Promise<void> {
    const handled = new Promise<void>((resolve) => this.#handled.set(header.msg_id, resolve));
    this.#post({ type: "comm", origin, msgType: header.msg_type, content, metadata, buffers });
    return handled;
  }

  answer(message: { value: string } | { interrupted: true }): void {
    this.#data.inputPort.postMessage(message);
    Atomics.add(this.#data.shared, shared.input, 1);
    Atomics.notify(this.#data.shared, shared.input);
  }

  /** Ends what runs; whether it has. `held`: a breakpoint holds the main thread. */
  async interrupt(held: boolean): Promise<boolean> {
    this.answer({ interrupted: true });
    return interruptMain(this.#data.shared, () => this.#ping("interrupt"), held);
  }

  /** Whether it takes messages, or does within a time (in ms). */
  isFree(time: number): Promise<boolean> {
    return Promise.race([this.#ping("ping").then(() => true), pause(time)]);
  }

  #ping(type: "interrupt" | "ping"): Promise<void> {
    const ping = ++this.#pings;
    this.#post({ type, ping });
    return new Promise((resolve) => this.#pongs.set(ping, resolve));
  }

  exit(): void {
    this.#post({ type: "exit" });
  }
}
