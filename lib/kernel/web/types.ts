// The ground of a language service on a page: no files but those that its worker knows, and the worker as its server.
import { Client, type RpcMessage } from "../types/client.ts";
import { pageGlobals } from "../types/globals.ts";
import type { Ground } from "../types/ground.ts";
import { libraryFolders, pathOf, uriOf } from "../types/library.ts";
import { documentsOf, ownOptions } from "../types/project.ts";
import type { Transpiled, TranspileOptions } from "../types/transpile.ts";

/** Where cells are: nothing else is in it. */
const folder = "/home";

class WorkerClient extends Client {
  readonly #worker: Worker;

  constructor(worker: Worker) {
    super();
    this.#worker = worker;
    worker.addEventListener("message", ({ data }: MessageEvent<RpcMessage>) => this.handle(data));
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      worker.terminate();
      this.end(`failed: ${event.message ?? "its script could not be loaded"}`);
    });
  }

  protected send(message: object): void {
    this.#worker.postMessage(message);
  }

  protected stop(): void {
    this.#worker.terminate();
  }
}

/** A page as a ground, and the compiler that its server is as well. */
export interface Page extends Ground {
  transpile(text: string, options: TranspileOptions): Promise<Transpiled>;
}

/**
 * A page as the ground of a language service.
 *
 * @param start starts a worker on what is built of types-worker.ts
 */
export function page(start: () => Worker): Page {
  let client: WorkerClient | undefined;
  return {
    folder,
    globals: pageGlobals,
    // What is fetched may be large and the network slow; where it broke, it may have mended.
    starts: { within: 300_000, again: true },
    connect() {
      client = new WorkerClient(start());
      return client;
    },
    uriOf,
    pathOf,
    read: async (path) => (await client!.request<string | null>("slimlab/read", { path }, 1000)) ?? "",
    transpile: (text, options) => client!.request("slimlab/transpile", { text, options }, 15_000),
    compilerOptions: () => ({}),
    project: (settings) => ({
      compilerOptions: {
        ...ownOptions,
        strict: settings.isStrict ?? true,
        lib: ["esnext", "webworker"],
        customConditions: ["browser"],
        types: [],
        jsx: "react-jsx",
        paths: { "slimlab/*": [`${libraryFolders.slimlab}/dist/lib/*/index.d.ts`] },
      },
      files: documentsOf(settings),
    }),
    watch: () => ({ watchImports() {}, changed() {}, close() {} }),
    ownFolder() {
      throw new Error("a page has no folders");
    },
    sweep() {},
  };
}
