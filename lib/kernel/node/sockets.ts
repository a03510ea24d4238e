// The kernel's five ZeroMQ sockets: what comes is checked and handed on, what goes is sent one by one and in order.
import * as zmq from "zeromq";
import type { Transport } from "../protocol/host.ts";
import type { Message } from "../protocol/messages.ts";
import { address, type Connection, isVersion6, serverKeys } from "./connection.ts";
import { decode, encode, WireError } from "./wire.ts";

type Fate = Parameters<Transport["send"]>[2];

interface Parcel {
  make: () => Uint8Array[];
  fate: Fate;
}

/**
 * A socket takes one send at a time; what comes meanwhile waits in order. Encoding and sending begin with the next turn:
 * the main thread gets its cell first, and runs it while the cell's first messages are made.
 */
class Outbox {
  readonly #socket: { send(frames: Uint8Array[]): Promise<void> };
  readonly #waiting: Parcel[] = [];
  #sending = false;

  constructor(socket: { send(frames: Uint8Array[]): Promise<void> }) {
    this.#socket = socket;
  }

  send(make: () => Uint8Array[], fate?: Fate): void {
    this.#waiting.push({ make, fate });
    if (this.#sending) return;
    this.#sending = true;
    setImmediate(() => void this.#run());
  }

  /** Resolves when nothing waits. */
  async drained(): Promise<void> {
    while (this.#sending) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  async #run(): Promise<void> {
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      try {
        await this.#socket.send(next.make());
      } catch (error) {
        next.fate?.failed?.(error as Error);
        continue;
      }
      next.fate?.sent?.();
    }
    this.#sending = false;
  }
}

/** Where what comes in goes: the kernel's core. */
export interface Receiver {
  receive(channel: "shell" | "control" | "stdin", message: Message): void;
  subscribed(topic: Uint8Array): void;
  drop(channel: string, why: string): void;
}

const channels = ["shell", "control", "stdin", "iopub", "hb"] as const;
const limits = { maxMessageSize: 1 << 30, linger: 1000, sendHighWaterMark: 0, receiveHighWaterMark: 0 };
/** Signatures of messages that came before, by which a replay is known. */
const mostSeen = 1 << 16;

function makeSockets(connection: Connection) {
  const options = { ...limits, ...serverKeys(connection), ipv6: isVersion6(connection.ip) };
  return {
    shell: new zmq.Router({ ...options, handover: true }),
    control: new zmq.Router({ ...options, handover: true }),
    stdin: new zmq.Router({ ...options, handover: true }),
    iopub: new zmq.XPublisher(options),
    hb: new zmq.Router(options),
  };
}

export class Sockets implements Transport {
  readonly #connection: Connection;
  readonly #sockets: ReturnType<typeof makeSockets>;
  readonly #outboxes: Record<"shell" | "control" | "stdin" | "iopub", Outbox>;
  readonly #seen = new Set<string>();
  #received = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
    const { shell, control, stdin, iopub } = (this.#sockets = makeSockets(connection));
    this.#outboxes = {
      shell: new Outbox(shell),
      control: new Outbox(control),
      stdin: new Outbox(stdin),
      iopub: new Outbox(iopub),
    };
  }

  // ---- In ------------------------------------------------------------------------------------------------------------

  /** Binds the sockets and hands on what comes; `broken` is called when one of them fails. */
  async open(receiver: Receiver, broken: (error: Error) => void): Promise<void> {
    // All of them, also where one fails: a socket that is closed while it is being bound ends the process.
    const bound = await Promise.allSettled(
      channels.map((channel) => this.#sockets[channel].bind(address(this.#connection, channel))),
    );
    for (const each of bound) if (each.status === "rejected") throw each.reason;
    for (const channel of ["shell", "control", "stdin"] as const)
      this.#serve(channel, receiver).catch(broken);
    this.#serveHeartbeat().catch(broken);
    this.#serveSubscriptions(receiver).catch(broken);
  }

  async #serve(channel: "shell" | "control" | "stdin", receiver: Receiver): Promise<void> {
    for await (const frames of this.#sockets[channel]) {
      this.#received++;
      const message = this.#accept(frames, channel, receiver);
      if (message) receiver.receive(channel, message);
    }
  }

  #accept(frames: Uint8Array[], channel: string, receiver: Receiver): Message | undefined {
    try {
      const { signature, ...message } = decode(frames, this.#connection);
      if (signature !== "") {
        const seen = this.#seen;
        if (seen.has(signature)) throw new WireError("a message that came before");
        seen.add(signature);
        if (seen.size > mostSeen) seen.delete(seen.values().next().value!);
      }
      return message;
    } catch (error) {
      receiver.drop(channel, error instanceof WireError ? error.message : String(error));
      return undefined;
    }
  }

  async #serveHeartbeat(): Promise<void> {
    const outbox = new Outbox(this.#sockets.hb);
    for await (const frames of this.#sockets.hb) outbox.send(() => frames);
  }

  async #serveSubscriptions(receiver: Receiver): Promise<void> {
    for await (const [frame] of this.#sockets.iopub) {
      // A first byte of 1 is a subscription. The client may count on receiving what is published from here on.
      if (frame?.[0] === 1) receiver.subscribed(frame.subarray(1));
    }
  }

  // ---- Out -----------------------------------------------------------------------------------------------------------

  send(channel: "shell" | "control" | "stdin" | "iopub", message: Message, fate?: Fate): void {
    this.#outboxes[channel].send(() => encode(message, this.#connection), fate);
  }

  /** As long as each turn brings something, there may be more (but a flood is no queue of cells). */
  async received(): Promise<void> {
    let before = -1;
    for (let tries = 0; before !== this.#received && tries < 1000; tries++) {
      before = this.#received;
      for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async drained(): Promise<void> {
    await Promise.all(Object.values(this.#outboxes).map((outbox) => outbox.drained()));
  }

  close(): void {
    for (const socket of Object.values(this.#sockets)) socket.close();
  }
}
