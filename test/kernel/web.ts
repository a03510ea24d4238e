// The browser's kernel in a real browser: bundled, served from this machine, and asked from the tests.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import type { ExecuteResult } from "../../lib/kernel/client.ts";
import type { Content } from "../../lib/kernel/protocol/messages.ts";
import { faultsOf } from "../../lib/kernel/protocol/reference.ts";
import type { CheckMode } from "../../lib/kernel/types/check.ts";
import { type KernelBundle, siteRooms } from "../../lib/site/bundle.ts";
import { typesOf } from "../../lib/site/types.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { startBrowser } from "../book/browser.ts";
import { startFirefox } from "./firefox.ts";
import type { Session } from "./web-page.ts";

async function bundle(entry: string): Promise<string> {
  const { outputFiles } = await build({
    absWorkingDir: packageRoot,
    entryPoints: [join("dist", entry)],
    bundle: true,
    write: false,
    format: "iife",
    platform: "browser",
    conditions: ["browser"],
    logLevel: "error",
  });
  return outputFiles[0].text;
}

const types: Record<string, string> = {
  ".js": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** Calls of the page's session, where no driver makes them: the page fetches each call and posts what came of it. */
class Calls {
  /** What the page runs. */
  static readonly script = `(async () => {
  for (;;) {
    const { id, method, args } = await (await fetch("next", { method: "POST" })).json();
    const call = async () => (typeof session[method] === "function" ? session[method](...args) : session[method]);
    call().then((value) => ({ id, value }), (error) => ({ id, error: String(error) }))
      .then((answer) => fetch("answer", { method: "POST", body: JSON.stringify(answer) }));
  }
})();`;
  #count = 0;
  readonly #calls: { id: number; method: string; args: unknown[] }[] = [];
  readonly #answers = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #asking: ServerResponse | undefined;

  call(method: string, args: unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = this.#count++;
      this.#answers.set(id, { resolve, reject });
      this.#calls.push({ id, method, args });
      this.#give();
    });
  }

  #give(): void {
    if (!this.#asking || this.#calls.length === 0) return;
    this.#asking.end(JSON.stringify(this.#calls.shift()));
    this.#asking = undefined;
  }

  /** Answers a request of the script's; false for any other. */
  async take(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    if (request.url === "/next") {
      this.#asking = response;
      this.#give();
      return true;
    }
    if (request.url !== "/answer") return false;
    const { id, value, error } = JSON.parse((await request.toArray()).join(""));
    const answer = this.#answers.get(id);
    this.#answers.delete(id);
    if (error) answer?.reject(new Error(error));
    else answer?.resolve(value);
    response.end();
    return true;
  }
}

/** A browser that has opened a page: by its driver, or without one. */
interface Opened {
  /** Chromium's page. */
  page?: Page;
  call(method: string, args: unknown[]): Promise<unknown>;
  close(): Promise<void>;
}

const open: Record<"chromium" | "firefox", (url: string, calls: Calls, flags: string[]) => Promise<Opened>> =
  {
    async chromium(url, _, flags) {
      const browser = await startBrowser(...flags);
      const page = await browser.newPage();
      await page.goto(url);
      return {
        page,
        call: (method, args) =>
          page.evaluate(
            ([method, args]) => {
              const { session } = globalThis as unknown as { session: Record<string, unknown> };
              const member = session[method];
              return typeof member === "function" ? member(...args) : member;
            },
            [method, args] as const,
          ),
        close: () => browser.close(),
      };
    },
    async firefox(url, calls) {
      const { stop } = await startFirefox(url);
      return { call: (method, args) => calls.call(method, args), close: stop };
    },
  };

/** What may become of an answer: cut short, the connection broken, or half of it and then nothing until it is let go. */
type Trouble = "short" | "broken" | "stands still";

/** What becomes of the next answers, by address, and how those that stand still go on. */
class Troubles extends Map<string, Trouble[]> {
  readonly standing: (() => void)[] = [];
}

/** A page with a kernel. */
export class WebSession {
  readonly troubles: Troubles;
  readonly #opened: Opened;
  readonly #server: Server;

  private constructor(opened: Opened, server: Server, troubles: Troubles) {
    this.troubles = troubles;
    this.#opened = opened;
    this.#server = server;
  }

  /** Chromium's page, for what its session does not offer. */
  get page(): Page {
    if (!this.#opened.page) throw new Error("only Chromium has a driver here");
    return this.#opened.page;
  }

  #call<M extends keyof Session>(
    method: M,
    ...args: Session[M] extends (...args: infer A) => unknown ? A : []
  ): Promise<Session[M] extends (...args: never[]) => infer R ? Awaited<R> : Session[M]> {
    return this.#opened.call(method, args) as never;
  }

  /**
   * @param isolated the server sends the headers by which page and worker may share memory
   * @param site the kernel of a site instead of the bare one, or the bare one with types
   * @param flags for Chromium
   */
  static async start(
    isolated: boolean,
    site?: KernelBundle | "typed",
    browser: keyof typeof open = "chromium",
    ...flags: string[]
  ): Promise<WebSession> {
    if (site !== "typed") return WebSession.#open(isolated, site, new Map(), browser, flags);
    return WebSession.#open(isolated, undefined, await typesOf(siteRooms), browser, flags);
  }

  static async #open(
    isolated: boolean,
    site: KernelBundle | undefined,
    typed: Map<string, Uint8Array>,
    browser: keyof typeof open,
    flags: string[],
  ): Promise<WebSession> {
    const own = site && {
      types: `kernel/${site.types}`,
      worker: `kernel/${site.worker}`,
      modules: Object.fromEntries(
        Object.entries(site.modules).map(([name, path]) => [name, `kernel/${path}`]),
      ),
    };
    const files: Record<string, [type: string, content: string | Uint8Array]> = {
      "/": [
        "text/html",
        `<!doctype html><meta charset="utf-8"><script>site = ${JSON.stringify(own)}; typed = ${typed.size > 0}</script><script src="page.js"></script>${browser === "firefox" ? `<script>${Calls.script}</script>` : ""}`,
      ],
      "/page.js": ["text/javascript", await bundle("test/kernel/web-page.js")],
      "/cells.js": ["text/javascript", await bundle("lib/kernel/web/worker.js")],
      "/data.json": ["application/json", '{ "answer": 42 }'],
      "/module.mjs": ["text/javascript", "export const here = import.meta.url; export default 'esm';"],
    };
    for (const [path, bytes] of site?.files ?? [])
      files[`/kernel/${path}`] = [types[extname(path)] ?? "application/octet-stream", bytes];
    for (const [path, bytes] of typed) files[`/${path}`] = ["application/gzip", bytes];
    if (typed.size > 0)
      files["/types.js"] = ["text/javascript", await bundle("lib/kernel/web/types-worker.js")];
    const headers: Record<string, string> = isolated
      ? { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" }
      : {};
    const troubles = new Troubles();
    const calls = new Calls();
    const server = createServer(async (request, response) => {
      if (request.method === "POST" && (await calls.take(request, response))) return;
      const { url } = request;
      const file = files[url ?? ""];
      const trouble = troubles.get(url ?? "")?.shift();
      if (trouble === "broken") {
        response.destroy();
        return;
      }
      response.writeHead(file ? 200 : 404, {
        ...headers,
        "Content-Type": file?.[0].startsWith("text/")
          ? `${file[0]}; charset=utf-8`
          : (file?.[0] ?? "text/plain"),
      });
      if (trouble === "stands still" && file) {
        const middle = file[1].length >> 1;
        response.write(file[1].slice(0, middle));
        troubles.standing.push(() => response.end(file[1].slice(middle)));
        return;
      }
      response.end(trouble === "short" ? file?.[1].slice(0, 1000) : file?.[1]);
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    return new WebSession(await open[browser](url, calls, flags), server, troubles);
  }

  execute(code: string, more: Content = {}): Promise<ExecuteResult> {
    return this.#call("execute", code, more);
  }

  ask(channel: "shell" | "control", type: string, content: Content = {}) {
    return this.#call("ask", channel, type, content);
  }

  /** As the page's `send`. */
  send(type: string, content: Content) {
    return this.#call("send", type, content);
  }

  /** The cells whose output some text was. */
  parents(text: string) {
    return this.#call("parents", text);
  }

  /** Runs a cell and interrupts it when it prints; the time from the interrupt to its end in ms. */
  interrupt(code: string) {
    return this.#call("interrupt", code);
  }

  /** Says what type errors do from here on. */
  check(mode: CheckMode) {
    return this.#call("check", mode);
  }

  /** How many workers have run cells so far. */
  workers(): Promise<number> {
    return this.#call("workers");
  }

  /** What of the messages so far is not as the protocol's reference says. */
  async faults(): Promise<string[]> {
    const messages = await this.#call("messages");
    return messages.flatMap(({ channel, message }) => faultsOf(message, channel));
  }

  async stop(): Promise<void> {
    await this.#opened.close();
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }
}
