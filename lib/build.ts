// The build after the compiler: removes from dist/ what has no source any more, then makes what is not TypeScript.
// `npm run build` runs it; a type error has ended the build before, and nothing was written.
import { existsSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "./util/files.ts";

const folders = ["lib", "test", "datasets"];

/** The files from which one in dist/ may have been made; the first that exists is its source. */
export function sourcesOf(path: string): string[] {
  const stem = path.replace(/\.bundle\.cjs(\..+\.kept)?$|(\.d)?\.(js|ts|cjs|mjs)(\.map)?$/, "");
  // tables.json and rows.wasm.js lie beside the outputs of the compiler.
  return [`${stem}.ts`, path, path.replace(/wasm\.js$/, "wat")];
}

function removeOrphans(folder: string): void {
  const dist = join(packageRoot, "dist", folder);
  if (!existsSync(dist)) return;
  for (const entry of readdirSync(dist, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) removeOrphans(path);
    else if (!sourcesOf(path).some((source) => existsSync(join(packageRoot, source))))
      rmSync(join(packageRoot, "dist", path));
  }
  if (readdirSync(dist).length === 0) rmdirSync(dist);
}

/** Sources without an output: dist/ was touched by hand, and the compiler's own notes say that all is there. */
function missing(): string[] {
  return folders.flatMap((folder) =>
    readdirSync(join(packageRoot, folder), { recursive: true, encoding: "utf8" })
      .filter((path) => /(?<!\.d)\.ts$/.test(path) && !/(^|[\\/])fixtures[\\/]/.test(path))
      .map((path) => join(folder, path))
      .filter((path) => !existsSync(join(packageRoot, "dist", path.replace(/ts$/, "js")))),
  );
}

for (const folder of folders) removeOrphans(folder);
const lost = missing();
if (lost.length > 0) {
  rmSync(join(packageRoot, "dist", ".tsbuildinfo"), { force: true });
  console.error(`dist/ lacks the outputs of ${lost.slice(0, 3).join(", ")}: build once more`);
  process.exit(1);
}
await Promise.all([
  import("./util/wat.ts"),
  import("./kernel/node/bundle.ts"),
  import("./nn/tfjs-bundle.ts"),
]);
