// Which slimlab this is: read from its package.json, so that no second place can be wrong.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "./files.ts";

/** slimlab's version. */
export const slimlabVersion: string = JSON.parse(
  readFileSync(join(packageRoot, "package.json"), "utf8"),
).version;
