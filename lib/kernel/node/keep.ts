// Has this Node keep what V8 compiles of the kernel when it starts and runs its first cells, so that the next start need not.
// The build does so, and `slimlab kernel install`: a package comes without, as it does not know its Node.
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { startKernel } from "../client.ts";
import { keepVariable, ofThisNode } from "./kept.ts";

const cells = [
  "const half: number = 21; console.log(half); half * 2",
  "import { sep } from 'node:path'; [sep, half]",
  "throw new Error(String(half))",
];

/** Runs a kernel that keeps its compiled code. What goes wrong costs a little time at starts, and is told. */
export async function keepCode(): Promise<void> {
  try {
    const kernel = await startKernel({ env: { [keepVariable]: "1", SLIMLAB_HISTORY: "off" } });
    for (const cell of cells) await kernel.execute(cell, { stopOnError: false });
    await kernel.request("shell", "complete_request", { code: "half.toF", cursor_pos: 8 });
    await kernel.shutdown();
    if (!(await isKept())) throw new Error("its folder cannot be written");
  } catch (error) {
    process.stderr.write(`The kernel's compiled code is not kept: ${(error as Error).message}\n`);
  }
}

async function isKept(): Promise<boolean> {
  const names = await readdir(fileURLToPath(new URL(".", import.meta.url)));
  return names.some((name) => name.endsWith(ofThisNode));
}

/** Does so where this Node has kept none yet. */
export async function keepCodeOnce(): Promise<void> {
  if (!(await isKept())) await keepCode();
}
