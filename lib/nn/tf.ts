// The one TensorFlow.js of a process. Its parts are CommonJS, so this module, danfojs and a notebook's own
// `import * as tf from "@tensorflow/tfjs"` all get the same instance, engine and backend.
export * as tf from "#tfjs";

import { layers } from "#tfjs";

// TensorFlow.js 4.22 forgets a separable convolution's multiplier in its settings: copies and saved models would lose it.
const separable = Object.getPrototypeOf(
  Object.getPrototypeOf(layers.separableConv2d({ filters: 1, kernelSize: 1 })),
);
const { getConfig } = separable;
separable.getConfig = function () {
  return { ...getConfig.call(this), depthMultiplier: this.depthMultiplier };
};
