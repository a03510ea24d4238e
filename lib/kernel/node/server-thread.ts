// Where the server's thread begins: main.ts starts it (as server-thread.cjs, which bundle.ts makes).
import { parentPort, workerData } from "node:worker_threads";
import { log } from "./log.ts";
import { Server } from "./server.ts";

const startedAt = Date.now();
void new Server(workerData, parentPort!).start().then(() => {
  if (process.env.SLIMLAB_DEBUG) log(`up after ${Date.now() - startedAt} ms`);
});
