// A step of the build: the kernel's two threads as one CommonJS file each, main.cjs and server-thread.cjs. Node starts these in
// two thirds of the time that it takes to find, read and link the modules one by one, twice over.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { writeFileAtomic } from "../../util/files.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));

const { outputFiles } = await build({
  absWorkingDir: folder,
  entryPoints: ["main.js", "server-thread.js"],
  outdir: folder,
  outExtension: { ".js": ".cjs" },
  bundle: true,
  packages: "external",
  platform: "node",
  format: "cjs",
  target: "node20.19",
  define: { "import.meta.url": "importMetaUrl" },
  banner: { js: '"use strict";const importMetaUrl = require("node:url").pathToFileURL(__filename).href;' },
  logLevel: "warning",
  write: false,
});
// A build beside kernels that start, as CI has it, must not change their files under them.
for (const { path, text } of outputFiles)
  if ((await readFile(path, "utf8").catch(() => undefined)) !== text) await writeFileAtomic(path, text);
