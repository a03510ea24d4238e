// The book on localhost: files of one folder, nothing else.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { extname, join, normalize, resolve, sep } from "node:path";
import { pipeline } from "node:stream";

const types: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".ipynb": "application/x-ipynb+json",
  ".woff2": "font/woff2",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".svg": "image/svg+xml",
};

/** Serves `folder` on the loopback interface; resolves once it listens. */
export function serveFolder(folder: string, port: number): Promise<Server> {
  const root = resolve(folder);
  const server = createServer(async (request, response) => {
    const refuse = (status: number, text: string) => {
      response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(`${text}\n`);
    };
    if (request.method !== "GET" && request.method !== "HEAD") return refuse(405, "only GET");
    let path: string;
    try {
      const { pathname } = new URL(request.url ?? "/", "http://localhost");
      path = normalize(join(root, decodeURIComponent(pathname)));
    } catch {
      return refuse(400, "not an address");
    }
    if (path !== root && !path.startsWith(root + sep)) return refuse(404, "not found");
    let found = await stat(path).catch(() => undefined);
    if (found?.isDirectory()) {
      path = join(path, "index.html");
      found = await stat(path).catch(() => undefined);
    }
    if (!found?.isFile()) return refuse(404, "not found");
    response.writeHead(200, {
      "content-type": types[extname(path)] ?? "application/octet-stream",
      "content-length": found.size,
      "cache-control": "no-cache",
    });
    if (request.method === "HEAD") return response.end();
    pipeline(createReadStream(path), response, () => {});
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
