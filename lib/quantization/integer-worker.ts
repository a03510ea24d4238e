// A helper thread of `integerMatmul`.
import { workerData } from "node:worker_threads";
import { help } from "./integer-matmul.ts";

help(workerData.memory);
