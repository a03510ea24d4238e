// The worker that knows types: TypeScript's own service with the declarations of what cells can import. Both are fetched
// when the kernel first asks.
import type ts from "typescript-js";
import type { RpcMessage } from "../types/client.ts";
import { type Library, typeFiles } from "../types/library.ts";
import { Service } from "../types/service.ts";

let service: Service | undefined;

/** A compressed file's text. Some servers take such files apart before they send them. */
async function textAt(path: string): Promise<string> {
  const url = new URL(path, globalThis.location.href);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.href}: the server answered ${response.status}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return new TextDecoder().decode(bytes);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

async function load(): Promise<void> {
  const [code, declarations] = await Promise.all([
    textAt(typeFiles.typescript),
    textAt(typeFiles.declarations),
  ]);
  // biome-ignore lint/security/noGlobalEval: a script of the site's own, which comes compressed.
  const typescript = globalThis.eval(`${code};ts`) as typeof ts;
  service = new Service(typescript, JSON.parse(declarations) as Library);
}

async function take({ id, method = "", params }: RpcMessage): Promise<void> {
  try {
    if (method === "initialize") await load();
    const result =
      id === undefined
        ? service?.notify(method, params)
        : method === "initialize"
          ? {}
          : service!.request(method, params);
    if (id !== undefined) globalThis.postMessage({ id, result } satisfies RpcMessage);
  } catch (error) {
    const { message } = error as Error;
    if (id !== undefined) globalThis.postMessage({ id, error: { message } } satisfies RpcMessage);
    else console.error(`slimlab: types: ${method}: ${message}`);
  }
}

globalThis.addEventListener("message", ({ data }: MessageEvent<RpcMessage>) => void take(data));
