// What stands in for `platform/node.ts` where a room asks for files of the machine: the worker's own.
import { dirname } from "pathe";
import { files, normal, root } from "./files.ts";

export const packageRoot: string = root;

export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  const place = normal(path);
  files.makeFolder(dirname(place), true);
  files.write(place, data);
}
