import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../lib/util/files.ts";
import { normal, seeded } from "../../lib/util/random.ts";

/** A fixture of test/quantization/fixtures; make.py made it. */
// biome-ignore lint/suspicious/noExplicitAny: fixtures are plain data of many shapes
export function fixture(name: string): any {
  return JSON.parse(readFileSync(join(packageRoot, "test/quantization/fixtures", `${name}.json`), "utf8"));
}

/** Normal numbers, times `scale`. */
export function normals(count: number, seed: number, scale = 1): Float32Array {
  const random = seeded(seed);
  return Float32Array.from({ length: count }, () => normal(random) * scale);
}
