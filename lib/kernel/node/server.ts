// The kernel's server, on a thread of its own: joins the core to five sockets, to the main thread, and to what this
// machine keeps.
import type { MessagePort } from "node:worker_threads";
import { editionOf } from "../../texts/language.ts";
import { Kernel } from "../protocol/kernel.ts";
import type { Content } from "../protocol/messages.ts";
import { type Connection, readConnection } from "./connection.ts";
import { History } from "./history.ts";
import { kernelInfo } from "./info.ts";
import { NodeInterpreter } from "./interpreter.ts";
import type { ServerData } from "./link.ts";
import { log } from "./log.ts";
import { MainThread } from "./main-thread.ts";
import { watchParent } from "./parent.ts";
import { Sockets } from "./sockets.ts";
import { Usage } from "./usage.ts";
import { username } from "./wire.ts";

/** Without a client's question, the kernel loads what a cell needs after this time (in ms). */
const warmAfter = 300;
/** What may yet be written at the end takes no longer (in ms). */
const farewell = 300;

export class Server {
  readonly #main: MainThread;
  readonly #sockets: Sockets;
  readonly #history = new History();
  readonly #usage = new Usage();
  readonly #interpreter: NodeInterpreter;
  readonly #kernel: Kernel;
  readonly #folder: string;
  #translate: ((type: string, content: Content) => Content) | undefined;

  constructor(data: ServerData, port: MessagePort) {
    const connection = readConnection(data.connectionFile, log);
    this.#main = new MainThread(port, data);
    this.#folder = data.folder;
    this.#sockets = new Sockets(connection);
    this.#interpreter = new NodeInterpreter(data, this.#main, {
      event: (content) => this.#kernel.debugEvent(content),
      interrupt: () => this.#kernel.interrupt(),
    });
    this.#kernel = new Kernel({
      transport: this.#sockets,
      interpreter: this.#interpreter,
      history: this.#history,
      debugger: this.#interpreter.debugger,
      info: kernelInfo(data.javascript),
      ports: portsOf(connection),
      session: process.env.SLIMLAB_SESSION ?? crypto.randomUUID(),
      usage: () => this.#usage.report(),
      username,
      translate: (type, content) => this.#translate?.(type, content) ?? content,
      log,
      leave: () => this.#leave(),
    });
  }

  async start(): Promise<void> {
    await this.#loadTexts();
    await this.#sockets.open(this.#kernel, (error) => {
      log(`a socket failed: ${error.stack}`);
      process.kill(process.pid, "SIGTERM");
    });
    this.#kernel.start();
    watchParent(() => {
      log("the process that started this kernel has gone: the kernel goes too");
      void this.#leave();
    });
    setTimeout(() => this.#interpreter.warm(), warmAfter);
  }

  close(): void {
    this.#sockets.close();
  }

  /** What a notebook in another language than English shows is translated as it leaves. */
  async #loadTexts(): Promise<void> {
    const edition = editionOf(process.env, this.#folder);
    if (edition.language === "en") return;
    try {
      const { translator } = await import("../../texts/index.ts");
      this.#translate = translator(edition, log);
    } catch (error) {
      log(`outputs stay in English: ${(error as Error).message}`);
    }
  }

  /** Ends the process, whatever the main thread is doing. */
  async #leave(): Promise<void> {
    await Promise.race([
      Promise.all([this.#history.close(), this.#interpreter.close()]).catch(() => {}),
      new Promise((resolve) => setTimeout(resolve, farewell)),
    ]);
    this.#sockets.close();
    this.#main.exit();
    // The main thread may be in an endless loop: what was sent has left by then, and the process can be ended.
    setTimeout(() => process.kill(process.pid, "SIGKILL"), 1000);
  }
}

function portsOf({ shell_port, iopub_port, stdin_port, control_port, hb_port }: Connection) {
  return { shell_port, iopub_port, stdin_port, control_port, hb_port };
}
