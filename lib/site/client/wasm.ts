// TensorFlow.js's WASM backend as slimlab needs it on a page: its binaries lie beside the worker, and it has one thread,
// whose memory slimlab's own kernels can share, also where the page is isolated.

import { env } from "@tensorflow/tfjs-core";
import { setWasmPaths } from "tensorflow-wasm";

setWasmPaths(new URL("wasm/", globalThis.location.href).href);
env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);

export * from "tensorflow-wasm";
