// WebAssembly modules that the build makes of the .wat files: each is a JavaScript module, NAME.wasm.js, whose default
// export is its bytes. So bundlers take them along, and nothing has to be read or fetched before the arithmetic can
// start, which is synchronous.

const compiled = new WeakMap<Uint8Array, WebAssembly.Module>();

/**
 * An instance of one of the package's WebAssembly modules; each is compiled once a process.
 *
 * @param bytes as the module beside the .wat file exports them: `import code from "./matmul.wasm.js"`. At most 4 KB: above
 *   that, some browsers' pages compile only asynchronously
 */
export function instantiateWasm(
  bytes: Uint8Array<ArrayBuffer>,
  imports: WebAssembly.Imports = {},
): WebAssembly.Instance {
  let module = compiled.get(bytes);
  if (!module) {
    module = new WebAssembly.Module(bytes);
    compiled.set(bytes, module);
  }
  return new WebAssembly.Instance(module, imports);
}

/** Grows a module's memory to at least so many bytes. Views of it made before must be made anew. */
export function reserve(memory: WebAssembly.Memory, bytes: number): void {
  const missing = bytes - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 65536));
}
