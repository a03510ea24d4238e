// The tests of one file or one room: npm run test:one -- pruning/mask [mocha's options]. `npm run watch -- pruning/mask`
// builds and runs them again whenever a source is saved.
import { spawnSync } from "node:child_process";
import { readdirSync, watch } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../lib/util/files.ts";

const built = "dist/test";
const [name, ...options] = process.argv.slice(2).filter((word) => word !== "--watch");
const watching = process.argv.includes("--watch");

/** A test may be named as it is in the sources, as it is built, or by any part of that. */
function find(part: string): string[] {
  const wanted = part
    .replaceAll("\\", "/")
    .replace(/^(\.\/)?(dist\/)?test\//, "")
    .replace(/(\.test)?\.[jt]s$/, "");
  return readdirSync(join(packageRoot, built), { recursive: true, encoding: "utf8" })
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => file.endsWith(".test.js") && file.includes(wanted))
    .sort()
    .map((file) => `${built}/${file}`);
}

function node(...words: string[]): boolean {
  return spawnSync(process.execPath, words, { cwd: packageRoot, stdio: "inherit" }).status === 0;
}

const run = (files: string[]) => node("node_modules/mocha/bin/mocha.js", ...files, ...options);

/** Resolves when a source has been saved, and a moment has passed in which editors write the rest. */
function saved(): Promise<void> {
  return new Promise((resolve) => {
    const watchers = ["lib", "test", "datasets"].map((folder) =>
      watch(join(packageRoot, folder), { recursive: true }, () => {
        for (const each of watchers) each.close();
        setTimeout(resolve, 100);
      }),
    );
  });
}

if (name === undefined) {
  console.error(
    "Which test? npm run test:one -- pruning/mask, or any other part of a test's file name; `npm test` runs all.",
  );
  process.exit(2);
}
const files = find(name);
if (files.length === 0) {
  console.error(`No file below test/ has ${JSON.stringify(name)} in its name.`);
  process.exit(2);
}
const ok = run(files);
if (!watching) process.exit(ok ? 0 : 1);
for (;;) {
  console.log("Waiting for a source to change; Ctrl-C ends it.");
  await saved();
  if (
    spawnSync("npm", ["run", "-s", "build"], { cwd: packageRoot, stdio: "inherit", shell: true }).status === 0
  )
    run(files);
}
