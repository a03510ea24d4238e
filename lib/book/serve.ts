// The book on localhost: files of one folder, nothing else.
import { createReadStream } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize, resolve, sep } from "node:path";
import { pipeline } from "node:stream";
import { policy } from "./page.ts";

const types: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".ipynb": "application/x-ipynb+json",
  ".woff2": "font/woff2",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".svg": "image/svg+xml",
};

/** The part of a file that a request asks for: the whole, or one range of bytes; undefined where it has no such part. */
function partOf(range: string | undefined, size: number): { start: number; end: number } | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(range ?? "");
  if (!match || (!match[1] && !match[2])) return { start: 0, end: size - 1 };
  const start = match[1] ? Number(match[1]) : Math.max(0, size - Number(match[2]));
  const end = match[1] && match[2] ? Math.min(Number(match[2]), size - 1) : size - 1;
  return start <= end ? { start, end } : undefined;
}

/** What a page of the book may load. */
const bookPolicy = { "content-security-policy": `${policy}; frame-ancestors 'none'` };

/**
 * Serves `folder` on the loopback interface; resolves once it listens.
 *
 * @param headers go with each file: by default, what a page of the book may load
 * @param base the path under which the folder lies, from `/` to `/`
 */
export async function serveFolder(
  folder: string,
  port: number,
  headers: Record<string, string> = bookPolicy,
  base = "/",
): Promise<Server> {
  const root = await realpath(resolve(folder));
  const server = createServer(async (request, response) => {
    const refuse = (status: number, text: string) => {
      response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(`${text}\n`);
    };
    // A page of another site whose name was turned to this address must not read the book.
    const { port: own } = server.address() as AddressInfo;
    const host = request.headers.host ?? "";
    if (
      !["localhost", "127.0.0.1"].some((name) => host === `${name}:${own}` || (own === 80 && host === name))
    )
      return refuse(421, "this is http://localhost");
    if (request.method !== "GET" && request.method !== "HEAD") return refuse(405, "only GET");
    let path: string;
    try {
      const { pathname } = new URL(request.url ?? "/", "http://localhost");
      if (!pathname.startsWith(base)) return refuse(404, `everything is below ${base}`);
      path = normalize(join(root, decodeURIComponent(pathname.slice(base.length))));
      if ((await stat(path)).isDirectory()) path = join(path, "index.html");
      path = await realpath(path); // a link out of the folder leads nowhere
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const isAddress = code === "ENOENT" || code === "ENOTDIR";
      return isAddress ? refuse(404, "not found") : refuse(400, "not an address");
    }
    const found = path.startsWith(root + sep) ? await stat(path).catch(() => undefined) : undefined;
    if (!found?.isFile()) return refuse(404, "not found");
    const part = partOf(request.headers.range, found.size);
    if (!part) {
      response.setHeader("content-range", `bytes */${found.size}`);
      return refuse(416, "the file is shorter");
    }
    const isWhole = part.end - part.start + 1 === found.size || found.size === 0;
    response.writeHead(isWhole ? 200 : 206, {
      "content-type": types[extname(path)] ?? "application/octet-stream",
      "content-length": part.end - part.start + 1,
      "cache-control": "no-cache",
      "accept-ranges": "bytes",
      "x-content-type-options": "nosniff",
      ...headers,
      ...(!isWhole && { "content-range": `bytes ${part.start}-${part.end}/${found.size}` }),
    });
    if (request.method === "HEAD" || found.size === 0) return response.end();
    pipeline(createReadStream(path, part), response, () => {});
  });
  return new Promise((done, fail) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      fail(
        error.code === "EADDRINUSE"
          ? new Error(`port ${port} is taken: choose another, --serve ${port + 1}`)
          : error,
      );
    });
    server.listen(port, "127.0.0.1", () => done(server));
  });
}

/**
 * Serves `folder` until Ctrl-C.
 *
 * @param say hears the address
 */
export async function serveUntilInterrupted(
  folder: string,
  port: number,
  say: (address: string) => void,
  headers?: Record<string, string>,
  base = "/",
): Promise<void> {
  const server = await serveFolder(folder, port, headers, base);
  say(`http://localhost:${(server.address() as AddressInfo).port}${base}`);
  await new Promise((done) => {
    process.once("SIGINT", done);
    process.once("SIGTERM", done);
  });
  server.closeAllConnections();
  server.close();
}
