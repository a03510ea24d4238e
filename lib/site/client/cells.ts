// The worker that runs cells on a site: the kernel's, with files that the site ships and Node's modules that chapters use.
import "../../kernel/web/worker.ts";
import "./ground.ts";
import { ownModules } from "../../kernel/web/imports.ts";
import assert from "./node/assert.ts";

// Loaded when a cell asks for them, but for the one that nearly every chapter begins with.
const modules: Record<string, () => Promise<object>> = {
  "assert/strict": async () => assertModule,
  assert: async () => assertModule,
  crypto: () => import("./node/crypto.ts"),
  fs: () => import("./node/fs.ts"),
  "fs/promises": () => import("./node/fs-promises.ts"),
  os: () => import("./node/os.ts"),
  path: () => import("./node/path.ts"),
  util: () => import("./node/util.ts"),
  zlib: () => import("./node/zlib.ts"),
};
const assertModule = { ...assert, default: assert };
for (const [name, load] of Object.entries(modules)) {
  ownModules.set(name, load);
  ownModules.set(`node:${name}`, load);
}
