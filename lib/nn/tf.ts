// The one TensorFlow.js of a process. It is CommonJS, so this module, a notebook's own
// `import * as tf from "@tensorflow/tfjs"` and danfojs all get the same instance, engine and backend.
export * as tf from "@tensorflow/tfjs";
