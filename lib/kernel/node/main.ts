// The kernel's process. The user's code runs on this, the main thread, so that native addons find what they expect;
// a worker owns the sockets, so that heartbeat, interrupts and completion answer while a cell is busy.
import { writeSync } from "node:fs";
import { MessageChannel, Worker } from "node:worker_threads";
import { type ServerData, shared } from "./link.ts";

const usage = `Usage: main.cjs --connection-file FILE [--javascript] [--check=error|warning|off]

Runs the slimlab kernel. Jupyter starts it; "slimlab kernel install" tells Jupyter how.

  --connection-file FILE  where the ports and the key stand
  --javascript            cells are JavaScript
  --check=error           a type error stops the cell before it runs (default for TypeScript)
  --check=warning         type errors are shown, and the cell runs
  --check=off             types are not checked

What it does not know is ignored, with a line in the log: Jupyter's own programs hand on their arguments.`;

function options(args: string[]): Pick<ServerData, "connectionFile" | "javascript" | "check"> {
  let connectionFile: string | undefined;
  let javascript = false;
  let check: string | undefined;
  const fail = (why: string): never => {
    process.stderr.write(`slimlab kernel: ${why}\n\n${usage}\n`);
    process.exit(2);
  };
  for (let i = 0; i < args.length; i++) {
    const [name, value] = args[i].split(/=(.*)/s, 2);
    if (name === "--connection-file" || name === "-f") connectionFile = value ?? args[++i];
    else if (name === "--javascript") javascript = true;
    else if (name === "--check") check = value ?? args[++i];
    else if (name === "--help") {
      process.stdout.write(`${usage}\n`);
      process.exit(0);
    } else
      writeSync(
        2,
        `slimlab kernel: ignored ${JSON.stringify(args[i])}, which is no option of the kernel's\n`,
      );
  }
  check ??= javascript ? "off" : "error";
  if (check !== "error" && check !== "warning" && check !== "off") {
    return fail(`--check must be error, warning or off, got ${check}`);
  }
  if (connectionFile === undefined) return fail("--connection-file is missing");
  return { connectionFile, javascript, check };
}

const { port1, port2 } = new MessageChannel();
const numbers = new Int32Array(new SharedArrayBuffer(4 * shared.length));
const data: ServerData = {
  ...options(process.argv.slice(2)),
  folder: process.cwd(),
  shared: numbers,
  inputPort: port2,
};
// The sockets first: the rest of this thread loads while they come up. (bundle.ts makes server-thread.cjs.)
const server = new Worker(new URL("./server-thread.cjs", import.meta.url), {
  workerData: data,
  transferList: [port2],
  execArgv: [],
  // Messages are many and short-lived: collecting them early keeps the process small.
  resourceLimits: { maxYoungGenerationSizeMb: 8 },
});
// Not through process.stderr, nor fs: what is written there belongs to a cell by now.
const writeError = writeSync;
const reallyExit = (process as unknown as { reallyExit(code: number): void }).reallyExit.bind(process);
server.on("error", (error) => {
  writeError(2, `slimlab kernel: ${process.env.SLIMLAB_DEBUG ? error.stack : error.message}\n`);
  reallyExit(1);
});
server.on("exit", (code) => reallyExit(code));
// A program that reads its arguments, in a cell, has none.
process.argv.splice(2);
// What a cell requires must not take this file for the program that it is part of.
process.mainModule = undefined;
void import("../run/runtime.ts").then(({ Runtime }) => new Runtime(server, port1, data));
