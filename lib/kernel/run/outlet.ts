// The main thread's way to the server: everything in order, never more than can leave, and of many updates of one display
// only the last.
import { backlogLimit, type SizedPublished, shared, type ToServer } from "../node/link.ts";
import { jsonSize } from "../protocol/json.ts";
import type { Content, Origin } from "../protocol/messages.ts";
import type { PublishedType } from "../protocol/reference.ts";

/** Node's own: cells may take the names, and lose what they have set. */
const { setTimeout, clearTimeout } = globalThis;
/** What a message costs besides its content, in bytes. */
const envelope = 1000;
/** An update waits for a newer one this long, in ms: no eye sees more. */
const updateTime = 20;
/** Updates that wait hold at most this many bytes. */
const mostUpdates = 1 << 20;

export class Outlet {
  readonly #send: (message: ToServer) => void;
  readonly #numbers: Int32Array;
  /** By display. */
  readonly #updates = new Map<string, SizedPublished>();
  #updatesSize = 0;
  #holds = 0;
  #updatesSince = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (message: ToServer) => void, numbers: Int32Array) {
    this.#send = send;
    this.#numbers = numbers;
  }

  /** Sends at once, after the updates that wait. */
  post(message: ToServer): void {
    this.#flushUpdates();
    this.#send(message);
  }

  /** Sends text; waits where the sockets cannot carry more. */
  text(origin: Origin, name: "stdout" | "stderr", text: string): void {
    Atomics.add(this.#numbers, shared.backlog, text.length);
    this.#send({ type: "stream", origin, name, text });
    this.#wait();
  }

  /** Text is held back here, or not any more: the server calls for it where no timer comes to run (held.ts). */
  holds(isHeld: boolean): void {
    this.#holds = (this.#holds + 1) & 0xffff || 1;
    Atomics.store(this.#numbers, shared.held, isHeld ? this.#holds : 0);
  }

  /** Sends what is to be published. Throws where it holds what no message can. */
  publish(
    origin: Origin,
    msgType: PublishedType,
    content: Content,
    metadata?: Content,
    buffers?: Uint8Array[],
  ): void {
    let size = envelope + jsonSize(content, msgType);
    if (metadata) size += jsonSize(metadata, `${msgType}.metadata`);
    for (const buffer of buffers ?? []) size += buffer.byteLength;
    const message: SizedPublished = { type: "publish", origin, msgType, content, metadata, buffers, size };
    if (msgType === "update_display_data") this.#hold(message);
    else {
      this.#flushUpdates();
      this.#count(message);
    }
  }

  #hold(message: SizedPublished): void {
    const id = String(message.content.transient?.display_id);
    const before = this.#updates.get(id);
    this.#updatesSize += message.size - (before?.size ?? 0);
    this.#updates.set(id, message);
    const now = performance.now();
    // A loop that never waits lets no timer run.
    if (!this.#timer) {
      this.#updatesSince = now;
      this.#timer = setTimeout(() => this.#flushUpdates(), updateTime).unref();
    } else if (now - this.#updatesSince > updateTime || this.#updatesSize > mostUpdates) this.#flushUpdates();
  }

  #flushUpdates(): void {
    if (!this.#timer) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const updates = [...this.#updates.values()];
    this.#updates.clear();
    this.#updatesSize = 0;
    for (const update of updates) this.#count(update);
  }

  #count(message: SizedPublished): void {
    Atomics.add(this.#numbers, shared.backlog, message.size);
    this.#send(message);
    this.#wait();
  }

  /** A cell that makes more than the sockets carry has to wait: the alternative is to lose output, or memory. */
  #wait(): void {
    const numbers = this.#numbers;
    for (
      let load = numbers[shared.backlog];
      load > backlogLimit;
      load = Atomics.load(numbers, shared.backlog)
    ) {
      Atomics.wait(numbers, shared.backlog, load, 100);
    }
  }
}
