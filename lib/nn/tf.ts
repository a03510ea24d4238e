// The one TensorFlow.js of a process. Its parts are CommonJS, so this module, danfojs and a notebook's own
// `import * as tf from "@tensorflow/tfjs"` all get the same instance, engine and backend.
export * as tf from "#tfjs";

import "./gru.ts";
import "./mended-layers.ts";
import "./trainable-layers.ts";
