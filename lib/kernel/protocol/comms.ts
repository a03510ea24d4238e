// Comms: named lines between a cell's objects and the front end's (the protocol's "Custom Messages"). Widgets ride on them.
import type { Content } from "./messages.ts";

export interface CommMessage {
  data: Content;
  metadata: Content;
  buffers: Uint8Array[];
}

/** Sends a comm's messages to the front end: the kernel's runtime sets it. */
export type CommSender = (
  msgType: "comm_open" | "comm_msg" | "comm_close",
  content: Content,
  metadata: Content,
  buffers: Uint8Array[],
) => void;

/** One comm. Either side may open it, send on it, and close it. */
export class Comm {
  readonly id: string;
  readonly target: string;
  /** Called with each message from the front end. */
  onMessage: ((message: CommMessage) => unknown) | undefined;
  /** Called once when the front end closes it. */
  onClose: ((message: CommMessage) => unknown) | undefined;
  readonly #manager: Comms;
  #open = true;

  constructor(manager: Comms, id: string, target: string) {
    this.#manager = manager;
    this.id = id;
    this.target = target;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  send(data: Content, options: { metadata?: Content; buffers?: Uint8Array[] } = {}): void {
    if (!this.#open) throw new Error(`the comm ${this.target} is closed`);
    this.#manager.sender(
      "comm_msg",
      { comm_id: this.id, data },
      options.metadata ?? {},
      options.buffers ?? [],
    );
  }

  close(data: Content = {}): void {
    if (!this.#open) return;
    this.#open = false;
    this.#manager.forget(this);
    this.#manager.sender("comm_close", { comm_id: this.id, data }, {}, []);
  }

  /** The front end has closed it. */
  closed(): void {
    this.#open = false;
  }
}

/** Called when the front end opens a comm for a target. */
export type CommTarget = (comm: Comm, message: CommMessage) => unknown;

/** All comms of a kernel. */
export class Comms {
  readonly sender: CommSender;
  readonly #open = new Map<string, Comm>();
  readonly #targets = new Map<string, CommTarget>();

  constructor(sender: CommSender) {
    this.sender = sender;
  }

  /** Names what the front end may open. */
  register(target: string, onOpen: CommTarget): void {
    this.#targets.set(target, onOpen);
  }

  unregister(target: string): void {
    this.#targets.delete(target);
  }

  /** Opens a comm to the front end's `target`. */
  open(
    target: string,
    data: Content = {},
    options: { id?: string; metadata?: Content; buffers?: Uint8Array[] } = {},
  ): Comm {
    const comm = new Comm(this, options.id ?? crypto.randomUUID(), target);
    this.#open.set(comm.id, comm);
    this.sender(
      "comm_open",
      { comm_id: comm.id, target_name: target, data },
      options.metadata ?? {},
      options.buffers ?? [],
    );
    return comm;
  }

  get(id: string): Comm | undefined {
    return this.#open.get(id);
  }

  forget(comm: Comm): void {
    this.#open.delete(comm.id);
  }

  /** Takes a message from the front end; returns what its handler returns, which may be a promise. */
  handle(msgType: string, content: Content, metadata: Content, buffers: Uint8Array[]): unknown {
    const id = String(content.comm_id ?? "");
    const message: CommMessage = { data: content.data ?? {}, metadata, buffers };
    if (msgType === "comm_open") {
      const target = this.#targets.get(String(content.target_name));
      const comm = new Comm(this, id, String(content.target_name));
      if (!target) {
        // The protocol's answer to a target that nobody knows.
        comm.close();
        return undefined;
      }
      this.#open.set(id, comm);
      return target(comm, message);
    }
    const comm = this.#open.get(id);
    if (!comm) return undefined;
    if (msgType === "comm_close") {
      comm.closed();
      this.#open.delete(id);
      return comm.onClose?.(message);
    }
    return comm.onMessage?.(message);
  }
}
