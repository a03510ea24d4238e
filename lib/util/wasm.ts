import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "./files.ts";

const compiled = new Map<string, WebAssembly.Module>();

/**
 * An instance of one of the package's WebAssembly modules. The build makes them from the .wat files beside
 * the modules that use them; each is compiled once a process.
 *
 * @param path where it lies under lib/, for example `lowrank/matmul.wasm`
 */
export function instantiateWasm(path: string, imports: WebAssembly.Imports = {}): WebAssembly.Instance {
  let module = compiled.get(path);
  if (!module) {
    module = new WebAssembly.Module(readFileSync(join(packageRoot, "dist/lib", path)));
    compiled.set(path, module);
  }
  return new WebAssembly.Instance(module, imports);
}
