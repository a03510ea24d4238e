// The browser's kernel in a real browser: bundled, served from this machine, and asked from the tests.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import type { ExecuteResult } from "../../lib/kernel/client.ts";
import { faultsOf } from "../../lib/kernel/protocol/reference.ts";
import type { KernelBundle } from "../../lib/site/bundle.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { startBrowser } from "../book/browser.ts";
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

/** A page with a kernel. */
export class WebSession {
  readonly page: Page;
  /** What becomes of the next answers, by address: cut short, or the connection broken. */
  readonly troubles: Map<string, ("short" | "broken")[]>;
  readonly #browser: Browser;
  readonly #server: Server;

  private constructor(page: Page, browser: Browser, server: Server, troubles: WebSession["troubles"]) {
    this.page = page;
    this.troubles = troubles;
    this.#browser = browser;
    this.#server = server;
  }

  /**
   * @param isolated the server sends the headers by which page and worker may share memory
   * @param site the kernel of a site instead of the bare one
   */
  static async start(isolated: boolean, site?: KernelBundle): Promise<WebSession> {
    const own = site && {
      worker: `kernel/${site.worker}`,
      modules: Object.fromEntries(
        Object.entries(site.modules).map(([name, path]) => [name, `kernel/${path}`]),
      ),
    };
    const files: Record<string, [type: string, content: string | Uint8Array]> = {
      "/": [
        "text/html",
        `<!doctype html><meta charset="utf-8"><script>site = ${JSON.stringify(own)}</script><script src="page.js"></script>`,
      ],
      "/page.js": ["text/javascript", await bundle("test/kernel/web-page.js")],
      "/cells.js": ["text/javascript", await bundle("lib/kernel/web/worker.js")],
      "/data.json": ["application/json", '{ "answer": 42 }'],
      "/module.mjs": ["text/javascript", "export const here = import.meta.url; export default 'esm';"],
    };
    for (const [path, bytes] of site?.files ?? [])
      files[`/kernel/${path}`] = [types[extname(path)] ?? "application/octet-stream", bytes];
    const headers: Record<string, string> = isolated
      ? { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" }
      : {};
    const troubles: WebSession["troubles"] = new Map();
    const server = createServer(({ url }, response) => {
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
      response.end(trouble === "short" ? file?.[1].slice(0, 1000) : file?.[1]);
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const browser = await startBrowser();
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    return new WebSession(page, browser, server, troubles);
  }

  execute(code: string, more: object = {}): Promise<ExecuteResult> {
    return this.page.evaluate(
      ([code, more]) => (globalThis as unknown as { session: Session }).session.execute(code, more),
      [code, more] as const,
    );
  }

  ask(channel: "shell" | "control", type: string, content: object = {}) {
    return this.page.evaluate(
      ([channel, type, content]) =>
        (globalThis as unknown as { session: Session }).session.ask(channel, type, content),
      [channel, type, content] as const,
    );
  }

  /** As the page's `send`. */
  send(type: string, content: object) {
    return this.page.evaluate(
      ([type, content]) => (globalThis as unknown as { session: Session }).session.send(type, content),
      [type, content] as const,
    );
  }

  /** The cells whose output some text was. */
  parents(text: string) {
    return this.page.evaluate(
      (text) => (globalThis as unknown as { session: Session }).session.parents(text),
      text,
    );
  }

  /** Runs a cell and interrupts it when it prints; the time from the interrupt to its end in ms. */
  interrupt(code: string) {
    return this.page.evaluate(
      (code) => (globalThis as unknown as { session: Session }).session.interrupt(code),
      code,
    );
  }

  /** How many workers have run cells so far. */
  workers(): Promise<number> {
    return this.page.evaluate(() => (globalThis as unknown as { session: Session }).session.workers);
  }

  /** What of the messages so far is not as the protocol's reference says. */
  async faults(): Promise<string[]> {
    const messages = await this.page.evaluate(() =>
      (globalThis as unknown as { session: Session }).session.messages(),
    );
    return messages.flatMap(({ channel, message }) => faultsOf(message, channel));
  }

  async stop(): Promise<void> {
    await this.#browser.close();
    await new Promise((done) => this.#server.close(done));
  }
}
