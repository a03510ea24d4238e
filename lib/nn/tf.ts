// The one TensorFlow.js of a process. It is CommonJS, so this module, a notebook's own
// `import * as tf from "@tensorflow/tfjs"` and danfojs all get the same instance, engine and backend.
export * as tf from "@tensorflow/tfjs";

import { layers } from "@tensorflow/tfjs";

// TensorFlow.js 4.22 forgets a separable convolution's multiplier in its settings: copies and saved models would lose it.
const separable = Object.getPrototypeOf(
  Object.getPrototypeOf(layers.separableConv2d({ filters: 1, kernelSize: 1 })),
);
const { getConfig } = separable;
separable.getConfig = function () {
  return { ...getConfig.call(this), depthMultiplier: this.depthMultiplier };
};
