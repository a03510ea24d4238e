// What a cell's child processes write where they inherit the kernel's output, and what is written to file descriptors 1 and
// 2: it is the cell's, and would else go to wherever Jupyter was started.
import childProcess, { ChildProcess } from "node:child_process";
import fs, { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

type Stdio = unknown[];
interface Options {
  stdio?: unknown;
}

const names = { 1: "stdout", 2: "stderr" } as const;
type Descriptor = keyof typeof names;

/** Which of a child's outputs would be the kernel's own. */
function inherited(stdio: Stdio): Descriptor[] {
  const isOwn = (each: unknown) =>
    each === "inherit" || each === 1 || each === 2 || each === process.stdout || each === process.stderr;
  return ([1, 2] as const).filter((descriptor) => isOwn(stdio[descriptor]));
}

function listOf(stdio: unknown): Stdio {
  return Array.isArray(stdio) ? [...stdio] : Array(3).fill(stdio ?? "pipe");
}

/** Whose output a child's is: `["ignore", 2, 1]` exchanges them. */
function nameOf(each: unknown, descriptor: Descriptor): "stdout" | "stderr" {
  if (each === 1 || each === process.stdout) return "stdout";
  return each === 2 || each === process.stderr ? "stderr" : names[descriptor];
}

export function captureProcesses(): void {
  captureSpawn();
  for (const name of ["spawnSync", "execSync", "execFileSync"] as const) captureSync(name);
  captureDescriptors();
  syncBuiltinESMExports();
}

function captureSpawn(): void {
  const prototype = ChildProcess.prototype as unknown as { spawn(options: Options): unknown };
  const { spawn } = prototype;
  prototype.spawn = function (this: ChildProcess, options: Options): unknown {
    const stdio = listOf(options?.stdio);
    const own = inherited(stdio);
    if (own.length === 0) return spawn.call(this, options);
    const piped = [...stdio];
    for (const descriptor of own) piped[descriptor] = "pipe";
    const result = spawn.call(this, { ...options, stdio: piped });
    for (const descriptor of own) {
      const stream = this[names[descriptor]];
      stream?.on("data", (chunk) => process[nameOf(stdio[descriptor], descriptor)].write(chunk));
    }
    return result;
  };
}

/** While such a child runs this thread stands still: what it has written shows when it has ended. */
function captureSync(name: "spawnSync" | "execSync" | "execFileSync"): void {
  const all = childProcess as unknown as Record<string, (...args: unknown[]) => unknown>;
  const original = all[name];
  all[name] = (...args) => {
    const options = args.at(-1) as Options | undefined;
    const isOptions = args.length > 1 && typeof options === "object" && options && !Array.isArray(options);
    const stdio = isOptions ? listOf(options.stdio) : [];
    const own = inherited(stdio);
    if (own.length === 0) return original(...args);
    const files = own.map((descriptor) => {
      const path = join(tmpdir(), `slimlab-output-${crypto.randomUUID()}`);
      return { descriptor, path, file: openSync(path, "wx", 0o600) };
    });
    const redirected = [...stdio];
    for (const { descriptor, file } of files) redirected[descriptor] = file;
    try {
      return original(...args.slice(0, -1), { ...options, stdio: redirected });
    } finally {
      for (const { descriptor, path, file } of files) {
        closeSync(file);
        process[nameOf(stdio[descriptor], descriptor)].write(readFileSync(path));
        rmSync(path, { force: true });
      }
    }
  };
}

/** `fs.writeSync(1, …)` and its like. */
function captureDescriptors(): void {
  const { writeSync, writeFileSync } = fs;
  const all = fs as unknown as Record<string, unknown>;
  const isOwn = (file: unknown): file is Descriptor => file === 1 || file === 2;
  all.writeSync = (file: number, data: string | NodeJS.ArrayBufferView, ...rest: never[]) => {
    if (!isOwn(file) || rest.length > 0) return writeSync(file, data as never, ...rest);
    const bytes =
      typeof data === "string"
        ? Buffer.from(data)
        : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    process[names[file]].write(bytes);
    return bytes.length;
  };
  all.writeFileSync = (file: unknown, data: string | Uint8Array, ...rest: never[]) => {
    if (isOwn(file)) process[names[file]].write(data);
    else writeFileSync(file as string, data, ...rest);
  };
}
