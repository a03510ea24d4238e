// The worker that knows types: TypeScript's own service with the declarations of what cells can import. Both are fetched
// when the kernel first asks.
import type ts from "typescript-js";
import { packedText } from "../../util/packed.ts";
import type { RpcMessage } from "../types/client.ts";
import { type Library, typeFiles } from "../types/library.ts";
import { Service } from "../types/service.ts";

let service: Service | undefined;

const textAt = (path: string) => packedText(new URL(path, globalThis.location.href).href);

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
          ? { capabilities: {} }
          : service!.request(method, params);
    if (id !== undefined) globalThis.postMessage({ id, result } satisfies RpcMessage);
  } catch (error) {
    const { message } = error as Error;
    if (id !== undefined) globalThis.postMessage({ id, error: { message } } satisfies RpcMessage);
    else console.error(`slimlab: types: ${method}: ${message}`);
  }
}

globalThis.addEventListener("message", ({ data }: MessageEvent<RpcMessage>) => void take(data));
