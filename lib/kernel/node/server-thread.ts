// Where the server's thread begins: main.ts starts it (as server-thread.cjs, which bundle.ts makes).
import { parentPort, workerData } from "node:worker_threads";
import { log } from "./log.ts";
import { Server } from "./server.ts";

const startedAt = Date.now();
const server = new Server(workerData, parentPort!);
server.start().then(
  () => {
    if (process.env.SLIMLAB_DEBUG) log(`up after ${Date.now() - startedAt} ms`);
  },
  (error: Error) => {
    log(`the kernel cannot start: ${error.message}`);
    // Sockets that are open at a process's end abort it.
    server.close();
    setImmediate(() => process.exit(1));
  },
);
