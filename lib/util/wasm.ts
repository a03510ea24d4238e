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
    module = compile(bytes);
    compiled.set(bytes, module);
  }
  return new WebAssembly.Instance(module, imports);
}

/** `() => i8x16.popcnt(i8x16.splat(0))`: valid where there is SIMD. */
const simd = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98,
  11,
]);

function compile(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  try {
    return new WebAssembly.Module(bytes);
  } catch (cause) {
    if (typeof WebAssembly === "object" && WebAssembly.validate(simd)) throw cause;
    throw new Error(
      "slimlab's arithmetic is WebAssembly with SIMD, and here there is none: browsers have it from Chrome and Edge 91, Firefox 89 and Safari 16.4 on, unless a lockdown mode switches it off; processors from 2008 on",
      { cause },
    );
  }
}

/** Grows a module's memory to at least so many bytes. Views of it made before must be made anew. */
export function reserve(memory: WebAssembly.Memory, bytes: number): void {
  const missing = bytes - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 65536));
}
