// A step of the build: compiles each lib/**/*.wat to dist/lib/**/*.wasm with the WebAssembly Binary Toolkit.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { packageRoot, writeFileAtomic } from "./files.ts";

const sources = readdirSync(join(packageRoot, "lib"), { recursive: true, encoding: "utf8" }).filter((path) =>
  path.endsWith(".wat"),
);
const stale = sources
  .map((path) => ({
    from: join(packageRoot, "lib", path),
    to: join(packageRoot, "dist/lib", path.replace(/wat$/, "wasm")),
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
      await writeFileAtomic(to, module.toBinary({ write_debug_names: true }).buffer);
    } finally {
      module.destroy();
    }
  }
}
