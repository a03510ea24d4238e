// TensorFlow.js by the parts that slimlab needs. Its umbrella package, @tensorflow/tfjs, is 180 MB more: source maps, WebGL
// and data pipelines. `#tfjs` is this module: on the web as it stands, on Node tfjs.cjs, which tfjs-bundle.ts makes of
// it (`import` by tfjs.mjs), because TensorFlow.js's gradients and chained operators are ES modules that Node cannot load.
import "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
import "@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js";

export * from "@tensorflow/tfjs-backend-cpu";
export * from "@tensorflow/tfjs-converter";
export * from "@tensorflow/tfjs-core";
export * from "@tensorflow/tfjs-layers";

import { version_cpu } from "@tensorflow/tfjs-backend-cpu";
import { version_converter } from "@tensorflow/tfjs-converter";
import { version_core } from "@tensorflow/tfjs-core";
import { version_layers } from "@tensorflow/tfjs-layers";

/** The versions of TensorFlow.js and of its parts. */
export const version = {
  "tfjs-core": version_core,
  "tfjs-backend-cpu": version_cpu,
  "tfjs-layers": version_layers,
  "tfjs-converter": version_converter,
  tfjs: version_core,
};
