// A step of the build: compiles each lib/**/*.wat to dist/lib/**/*.wasm.js with the WebAssembly Binary Toolkit. A module of
// JavaScript that holds the bytes is what Node, bundlers and browsers can all import: see wasm.ts.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { packageRoot, writeFileAtomic } from "./files.ts";

const sources = readdirSync(join(packageRoot, "lib"), { recursive: true, encoding: "utf8" }).filter((path) =>
  path.endsWith(".wat"),
);
const stale = sources
  .map((path) => ({
    from: join(packageRoot, "lib", path),
    to: join(packageRoot, "dist/lib", path.replace(/wat$/, "wasm.js")),
  }))
  .filter(({ from, to }) => (statSync(to, { throwIfNoEntry: false })?.mtimeMs ?? 0) < statSync(from).mtimeMs);

// The toolkit takes a moment to load, and most builds change no .wat file.
if (stale.length > 0) {
  const { default: load } = await import("wabt");
  const wabt = await load();
  for (const { from, to } of stale) {
    const features = { simd: true, threads: true, bulk_memory: true };
    const module = wabt.parseWat(from, readFileSync(from, "utf8"), features);
    try {
      // It takes the features as parseWat does, which its types leave out.
      Reflect.apply(module.validate, module, [features]);
      const bytes = module.toBinary({ write_debug_names: true }).buffer;
      const text = Buffer.from(bytes).toString("base64");
      await writeFileAtomic(to, `export default Uint8Array.from(atob("${text}"), (c) => c.charCodeAt(0));\n`);
    } finally {
      module.destroy();
    }
  }
}
