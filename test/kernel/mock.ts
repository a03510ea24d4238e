// A host for the kernel's core without sockets and threads: what it sends is a list, what runs is said by the test.
import type {
  Cell,
  CellEnd,
  Completions,
  Host,
  Inspection,
  Interpreter,
  Outputs,
} from "../../lib/kernel/protocol/host.ts";
import { Kernel } from "../../lib/kernel/protocol/kernel.ts";
import { type Content, header, type Message, type Origin } from "../../lib/kernel/protocol/messages.ts";
import { type Completeness, faultsOf } from "../../lib/kernel/protocol/reference.ts";

export interface Sent {
  channel: string;
  message: Message;
}

/** A cell that waits for its end. */
export interface Running {
  cell: Cell;
  end(end?: CellEnd): void;
  fail(error: Error): void;
}

export class MockHost implements Host, Interpreter {
  readonly sent: Sent[] = [];
  readonly logged: string[] = [];
  readonly running: Running[] = [];
  readonly comms: [Origin, Message][] = [];
  readonly answers: string[] = [];
  interrupts = 0;
  left = 0;
  outputs!: Outputs;
  completions: Completions = { matches: [], cursorStart: 0, cursorEnd: 0, metadata: {} };
  inspection: Inspection | undefined;
  /** What `complete` and `inspect` were asked. */
  asked: [source: string, offset: number][] = [];
  /** Called where the core lets in what clients have sent. */
  arriving = (): void => {};

  readonly transport: Host["transport"] = {
    send: (channel, message, fate) => {
      try {
        JSON.stringify(message);
      } catch (error) {
        fate?.failed?.(error as Error);
        return;
      }
      this.sent.push({ channel, message });
      fate?.sent?.();
    },
    received: async () => this.arriving(),
    drained: async () => {},
  };
  readonly interpreter = this;
  readonly history: Host["history"] = {
    add: () => {},
    find: async () => [[1, 1, "1 + 1"]],
  };
  readonly debugger: Host["debugger"] = {
    request: async ({ seq, command }) => ({
      type: "response",
      seq: 1,
      request_seq: seq,
      command,
      success: true,
      body: {},
    }),
  };
  readonly info: Host["info"] = {
    implementation: "mock",
    implementation_version: "1.0.0",
    language_info: {
      name: "mock",
      version: "1",
      mimetype: "text/mock",
      file_extension: ".mock",
      pygments_lexer: "text",
      codemirror_mode: "text",
      nbconvert_exporter: "script",
    },
    banner: "mock",
    debugger: true,
    help_links: [],
    supported_features: [],
  };
  ports: Host["ports"];
  usage: Host["usage"] = () => ({
    hostname: "here",
    pid: 1,
    kernel_cpu: 0,
    kernel_memory: 1,
    cpu_count: 1,
    host_virtual_memory: { total: 1 },
  });
  readonly session = "the-session";
  readonly username = "tester";
  readonly kernel = new Kernel(this);

  log(text: string): void {
    this.logged.push(text);
  }
  async leave(): Promise<void> {
    this.left++;
  }

  // ---- The interpreter -----------------------------------------------------------------------------------------------

  connect(outputs: Outputs): void {
    this.outputs = outputs;
  }
  warm(): void {}
  execute(cell: Cell): Promise<CellEnd> {
    return new Promise((resolve, reject) => {
      this.running.push({ cell, end: (end = {}) => resolve(end), fail: reject });
    });
  }
  async isComplete(source: string): Promise<Completeness> {
    return source === "{" ? { status: "incomplete", indent: "  " } : { status: "complete" };
  }
  async complete(source: string, offset: number): Promise<Completions> {
    this.asked.push([source, offset]);
    return this.completions;
  }
  async inspect(source: string, offset: number): Promise<Inspection | undefined> {
    this.asked.push([source, offset]);
    return this.inspection;
  }
  async comm(origin: Origin, message: Message): Promise<void> {
    this.comms.push([origin, message]);
  }
  answer(value: string): void {
    this.answers.push(value);
  }
  /** Whether an interrupt ends what runs. */
  stops = true;
  async interrupt(): Promise<boolean> {
    this.interrupts++;
    return this.stops;
  }

  // ---- The test's side -----------------------------------------------------------------------------------------------

  /** Sends a message as a client does; returns it. */
  send(
    channel: "shell" | "control" | "stdin",
    type: string,
    content: Content = {},
    more: Partial<Message["header"]> = {},
  ): Message {
    const message: Message = {
      identities: [new TextEncoder().encode("client")],
      header: { ...header(type, "client", "tester"), ...more },
      parent_header: {},
      metadata: {},
      content,
      buffers: [],
    };
    this.kernel.receive(channel, message);
    return message;
  }

  /** Sends a request and resolves to its reply, once everything that follows from it has happened. */
  async ask(channel: "shell" | "control", type: string, content: Content = {}): Promise<Message> {
    const request = this.send(channel, type, content);
    await settled();
    return this.replyTo(request);
  }

  replyTo(request: Message): Message {
    const replies = this.sent.filter(
      ({ channel, message }) =>
        (channel === "shell" || channel === "control") && message.parent_header === request.header,
    );
    if (replies.length !== 1) throw new Error(`${replies.length} replies to ${request.header.msg_type}`);
    return replies[0].message;
  }

  /** What was published because of a request: its type, or the state for a status. */
  published(request: Message): string[] {
    return this.sent
      .filter(
        ({ channel, message }) =>
          channel === "iopub" && message.parent_header.msg_id === request.header.msg_id,
      )
      .map(({ message: { header, content } }) => content.execution_state ?? header.msg_type);
  }

  /** What of all that was sent is not as the reference says. */
  faults(): string[] {
    return this.sent.flatMap(({ channel, message }) => faultsOf(message, channel));
  }
}

/** Resolves when every promise that can go on by itself has done so. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}
