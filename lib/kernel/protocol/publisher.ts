// The kernel's iopub: everything that all clients see, in order, written text joined.
import type { Transport } from "./host.ts";
import { type Content, header, type Message, type Origin } from "./messages.ts";
import type { PublishedContent, PublishedType } from "./reference.ts";

interface Joined {
  origin: Origin;
  name: "stdout" | "stderr";
  texts: string[];
  size: number;
  sent?: (characters: number) => void;
}

/** Browsers choke on thousands of small messages, so what a cell writes goes out at most 50 times a second (in ms). */
const pause = 20;
/** Characters that do not wait for that. */
const mostJoined = 1 << 18;

export class Publisher {
  readonly #transport: Transport;
  readonly #session: string;
  readonly #username: string;
  readonly #log: (text: string) => void;
  readonly #translate: (type: PublishedType, content: Content) => Content;
  readonly #topics = new Map<string, Uint8Array>();
  #stream: Joined | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sentAt = 0;

  constructor(
    transport: Transport,
    session: string,
    username: string,
    log: (text: string) => void,
    translate: (type: PublishedType, content: Content) => Content = (_, content) => content,
  ) {
    this.#translate = translate;
    this.#transport = transport;
    this.#session = session;
    this.#username = username;
    this.#log = log;
  }

  /** Publishes after the text that came before. */
  publish<T extends PublishedType>(
    type: T,
    content: PublishedContent<T>,
    parent: Message["parent_header"],
    more: { metadata?: Content; buffers?: Uint8Array[]; sent?: () => void } = {},
  ): void {
    this.flush();
    this.#send(type, content, parent, more);
  }

  status(state: "busy" | "idle" | "starting", parent: Message["parent_header"]): void {
    this.publish("status", { execution_state: state }, parent);
  }

  /** Publishes text, joined with what came just before. */
  stream(origin: Origin, name: "stdout" | "stderr", text: string, sent?: (characters: number) => void): void {
    const before = this.#stream;
    if (before && (before.name !== name || before.origin.header.msg_id !== origin.header.msg_id))
      this.flush();
    const stream = (this.#stream ??= { origin, name, texts: [], size: 0, sent });
    stream.texts.push(text);
    stream.size += text.length;
    if (stream.size > mostJoined || performance.now() - this.#sentAt > pause) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), pause);
  }

  /** Sends the text that waits. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#stream) return;
    const { origin, name, texts, size, sent } = this.#stream;
    this.#stream = undefined;
    this.#sentAt = performance.now();
    this.#send("stream", { name, text: texts.join("") }, origin.header, { sent: () => sent?.(size) });
  }

  /** Tells a subscriber of `topic` that from here on it receives what is published. */
  welcome(topic: Uint8Array): void {
    const content = { subscription: new TextDecoder().decode(topic) };
    this.#send("iopub_welcome", content, {}, {}, topic);
  }

  #send(
    type: PublishedType,
    content: Content,
    parent: Message["parent_header"],
    { metadata = {}, buffers = [], sent }: { metadata?: Content; buffers?: Uint8Array[]; sent?: () => void },
    topic = this.#topic(type),
  ): void {
    const message: Message = {
      identities: [topic],
      header: header(type, this.#session, this.#username),
      parent_header: parent,
      metadata,
      content: this.#translate(type, content),
      buffers,
    };
    this.#transport.send("iopub", message, {
      sent,
      failed: (error) => {
        sent?.();
        this.#log(`a message could not be sent: ${error.message}`);
        // Not in silence: who shows it must see that it is missing.
        const text = `${type} could not be sent: ${error.message}\n`;
        if (type !== "stream") this.publish("stream", { name: "stderr", text }, parent);
      },
    });
  }

  #topic(type: PublishedType): Uint8Array {
    let topic = this.#topics.get(type);
    if (!topic) {
      topic = new TextEncoder().encode(`kernel.${this.#session}.${type}`);
      this.#topics.set(type, topic);
    }
    return topic;
  }
}
