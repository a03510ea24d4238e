// TypeScript's server with the documents that it holds: started when it is first asked, and again when it has died.
import { type Client, NoAnswer } from "./client.ts";
import { type Diagnostic, diagnosticsOf, type ServerDiagnostic } from "./diagnostics.ts";
import type { FileChange, Ground } from "./ground.ts";
import { configName } from "./project.ts";
import type { Position } from "./text.ts";

export interface TypeServerOptions {
  ground: Ground;
  /** Milliseconds after which a request counts as unanswered. */
  timeout: number;
  /**
   * Documents that are opened before all others, and smaller than they are to be: each opening rebuilds the program, so
   * documents are opened while there is hardly anything else in it.
   */
  first(): Map<string, string>;
}

/** What a server says it can do. */
interface Initialized {
  capabilities: { completionProvider?: { resolveProvider?: boolean } };
}

const stillLoading = "TypeScript is still being loaded; it goes on, and checks cells when it is there";

/** What people wait for at the keyboard gets this long at most (in ms). */
const patience = 5000;

export class TypeServer {
  readonly #options: TypeServerOptions;
  readonly documents = new Map<string, string>();
  #client: Client | undefined;
  #ready: Promise<void> | undefined;
  #isClosed = false;
  #restarts: number[] = [];
  #unavailable = "";
  /** The server has been initialised and holds the documents: from then on it hears of changes. */
  #isLive = false;
  #version = 1;
  /** A start has taken too long to be waited for. */
  #isLate = false;
  #describesItems = false;

  constructor(options: TypeServerOptions) {
    this.#options = options;
  }

  get isLive(): boolean {
    return this.#isLive;
  }
  get isIdle(): boolean {
    return this.#isLive && this.#client?.isIdle === true;
  }
  /** Whether the server can be asked for more about an item of a completion. */
  get describesItems(): boolean {
    return this.#describesItems;
  }
  get pid(): number | undefined {
    return this.#client?.pid;
  }

  /** Starts the server, unless it has been started. */
  async start(): Promise<void> {
    this.#ready ??= this.#launch();
    await this.#ready;
  }

  /** Resolves when the server can be asked; rejects with NoAnswer where it cannot. */
  async started(): Promise<void> {
    if (this.#isClosed) throw new NoAnswer("the language service is closed");
    await this.#begun();
    if (!this.#isLive) throw new NoAnswer(this.#unavailable || "the language server is not running");
  }

  /** A start that takes longer than a check may goes on beside the cells, and nobody waits for it again. */
  async #begun(): Promise<void> {
    const start = this.start();
    if (this.#isLate && !this.#isLive) throw new NoAnswer(stillLoading);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(resolve, this.#options.timeout, "late");
    });
    const first = await Promise.race([start, late]);
    clearTimeout(timer);
    if (first !== "late") return;
    this.#isLate = true;
    throw new NoAnswer(stillLoading);
  }

  uri(name: string): string {
    return this.#options.ground.uriOf(`${this.#options.ground.folder}/${name}`);
  }

  /** A document's text from here on; it is opened when it is new. */
  change(name: string, text: string): void {
    const before = this.documents.get(name);
    if (before === text) return;
    this.documents.set(name, text);
    if (!this.#isLive) return;
    if (before === undefined) this.#open(name, text);
    else
      this.#client!.notify("textDocument/didChange", {
        textDocument: { uri: this.uri(name), version: this.#version++ },
        contentChanges: [{ text }],
      });
  }

  filesChanged(changes: FileChange[]): void {
    if (this.#isLive) this.#client!.notify("workspace/didChangeWatchedFiles", { changes });
  }

  /** Asks about a document; `patient`: as long as a check may take. */
  request<T>(method: string, name: string, params: object = {}, patient = false): Promise<T> {
    const { timeout } = this.#options;
    return this.#client!.request<T>(
      method,
      { textDocument: { uri: this.uri(name) }, ...params },
      patient ? timeout : Math.min(timeout, patience),
    );
  }

  /** Asks about a place in a document. */
  requestAt<T>(method: string, name: string, position: Position, params: object = {}): Promise<T> {
    return this.request(method, name, { position, ...params });
  }

  /** Completes an item of a completion, in a second or not at all. */
  resolve<T>(item: object): Promise<T> {
    return this.#client!.request<T>("completionItem/resolve", item, 1000);
  }

  async diagnostics(name: string): Promise<Diagnostic[]> {
    const answer = await this.request<{ items?: ServerDiagnostic[] }>(
      "textDocument/diagnostic",
      name,
      {},
      true,
    );
    return diagnosticsOf(answer?.items ?? []);
  }

  /** Has the server take in a change now, while a cell runs, and not together with the next change. */
  settle(name: string): void {
    if (this.#isLive) this.request("custom/projectInfo", name, {}, true).catch(() => undefined);
  }

  /** A server that hangs makes way for another. */
  replace(reason: string): void {
    this.#client!.kill();
    this.#restart(reason);
  }

  close(): void {
    this.#isClosed = true;
    this.#isLive = false;
    this.#client?.kill();
    this.#client = undefined;
  }

  async #launch(): Promise<void> {
    const { ground, timeout, first } = this.#options;
    this.#isLate = false;
    try {
      const client = ground.connect();
      this.#client = client;
      client.onExit = (reason) => this.#restart(reason);
      const { capabilities } = await client.request<Initialized>(
        "initialize",
        initialization(ground),
        Math.max(timeout, ground.starts.within),
      );
      this.#describesItems = capabilities.completionProvider?.resolveProvider === true;
      client.notify("initialized", {});
      // The project's name counts from the first request on: documents that come before it would have the server load the
      // folder's own tsconfig.json, with all files of that project.
      await client.request("workspace/symbol", { query: "\0" }, Math.max(timeout, 15_000));
      const small = first();
      const full = new Map([...small.keys()].map((name) => [name, this.documents.get(name)!]));
      for (const [name, text] of small) this.documents.set(name, text);
      this.#isLive = true;
      for (const name of new Set([...small.keys(), ...this.documents.keys()])) {
        this.#open(name, this.documents.get(name)!);
      }
      for (const [name, text] of [...full].reverse()) this.change(name, text);
    } catch (error) {
      // There is no server for this platform, or it does not start: cells run unchecked.
      this.#unavailable = (error as Error).message;
      if (!ground.starts.again) return;
      this.#client?.kill();
      this.#ready = undefined;
    }
  }

  /** A dead server comes back with its documents, unless it keeps dying. */
  #restart(reason: string): void {
    this.#isLive = false;
    if (this.#isClosed) return;
    const now = Date.now();
    this.#restarts = this.#restarts.filter((time) => now - time < 60_000);
    this.#restarts.push(now);
    if (this.#restarts.length > 5) {
      this.#unavailable = `the language server keeps ending: ${reason}`;
      return;
    }
    this.#ready = this.#launch();
  }

  #open(name: string, text: string): void {
    const languageId = name.endsWith(".json")
      ? "json"
      : name.endsWith("x")
        ? "typescriptreact"
        : "typescript";
    this.#client!.notify("textDocument/didOpen", {
      textDocument: { uri: this.uri(name), languageId, version: this.#version++, text },
    });
  }
}

function initialization({ folder, uriOf }: Ground): object {
  return {
    processId: globalThis.process?.pid ?? null,
    rootUri: uriOf(folder),
    capabilities: {
      general: { positionEncodings: ["utf-16"] },
      textDocument: {
        diagnostic: { relatedInformation: true },
        publishDiagnostics: { relatedInformation: true },
        completion: {
          completionItem: { documentationFormat: ["markdown"], snippetSupport: false },
          completionList: { itemDefaults: ["commitCharacters", "editRange", "data"] },
        },
        hover: { contentFormat: ["markdown"] },
        definition: { linkSupport: true },
        signatureHelp: { signatureInformation: { documentationFormat: ["markdown"] } },
      },
    },
    initializationOptions: {
      disablePushDiagnostics: true,
      // Errors only: it told of its work in eight messages for each cell.
      logVerbosity: 5,
      userPreferences: {
        customConfigFileName: configName,
        suggest: { autoImports: false },
        tsserver: { automaticTypeAcquisition: { enabled: false } },
      },
    },
  };
}
