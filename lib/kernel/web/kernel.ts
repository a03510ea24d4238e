// The kernel in a browser: the core of protocol/ joined to a front end on the same page, and to a worker that runs the cells.
import "./secure.ts";
import { randomId } from "#platform";
import { type Entry, findIn } from "../protocol/history.ts";
import { Kernel } from "../protocol/kernel.ts";
import type { Channel, Content, Message } from "../protocol/messages.ts";
import type { KernelInfo } from "../protocol/reference.ts";
import type { CheckMode } from "../types/check.ts";
import { type InterpreterOptions, WebInterpreter } from "./interpreter.ts";

export interface WebKernelOptions extends Partial<Omit<InterpreterOptions, "worker">> {
  /** Starts a worker on what is built of worker.ts. */
  worker(): Worker;
  /** Takes each message of the kernel's. */
  send(channel: Channel, message: Message): void;
  /** slimlab's version, for `kernel_info`. */
  version: string;
  log?(text: string): void;
  session?: string;
}

export interface WebKernel {
  /** Takes a message of the front end's. */
  receive(channel: "shell" | "control" | "stdin", message: Message): void;
  /** Ends what runs: as an `interrupt_request` does. */
  interrupt(): Promise<boolean>;
  /** Loads modules that cells will import, as the options name them. */
  loadAhead(modules: string[]): void;
  /** Says what type errors do from here on. */
  check(mode: CheckMode): void;
  /** Ends the kernel and its workers. */
  close(): void;
}

/** Starts a kernel. */
export function startWebKernel(options: WebKernelOptions): WebKernel {
  const { send, version, log = () => {}, session = randomId() } = options;
  const interpreter = new WebInterpreter({
    modules: {},
    base: globalThis.location?.href ?? "",
    isolated: globalThis.crossOriginIsolated === true,
    log,
    ...options,
  });
  const entries: Entry[] = [];
  const kernel = new Kernel({
    transport: {
      send(channel, message, fate) {
        try {
          send(channel, message);
          fate?.sent?.();
        } catch (error) {
          fate?.failed?.(error as Error);
        }
      },
      async received() {},
      async drained() {},
    },
    interpreter,
    history: {
      add: (line, source) => entries.push([session, line, source]),
      find: async (request) => findIn(entries.length > 0 ? [[session, entries]] : [], session, request),
    },
    debugger: {
      request: async ({ seq, command }): Promise<Content> => ({
        type: "response",
        seq: 0,
        request_seq: seq,
        command,
        success: false,
        body: {},
        message: "a browser gives its debugger to nobody: open the browser's own developer tools",
      }),
    },
    info: kernelInfo(version),
    session,
    username: "",
    log,
    async leave() {
      interpreter.close();
    },
  });
  kernel.start();
  return {
    receive: (channel, message) => kernel.receive(channel, message),
    interrupt: () => kernel.interrupt(),
    loadAhead: (modules) => interpreter.loadAhead(modules),
    check: (mode) => interpreter.check(mode),
    close: () => interpreter.close(),
  };
}

function kernelInfo(version: string): KernelInfo {
  return {
    implementation: "slimlab",
    implementation_version: version,
    language_info: {
      name: "typescript",
      version: "",
      mimetype: "text/typescript",
      file_extension: ".ts",
      pygments_lexer: "typescript",
      codemirror_mode: "typescript",
      nbconvert_exporter: "script",
    },
    banner: "slimlab: TypeScript in a browser",
    debugger: false,
    help_links: [{ text: "TypeScript", url: "https://www.typescriptlang.org/docs/" }],
    supported_features: ["kernel subshells"],
  };
}
