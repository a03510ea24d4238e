import * as tf from "@tensorflow/tfjs";
import * as wasm from "@tensorflow/tfjs-backend-wasm";
import { createRequire } from "node:module";
const r = createRequire(import.meta.url)("@tensorflow/tfjs");
console.log(Object.keys(tf).length, Object.keys(r).length, typeof tf.tensor, typeof tf.layers, typeof tf.LayersModel, typeof tf.registerKernel, typeof tf.io, Object.keys(wasm));
console.log(Object.keys(r).filter(k=>!(k in tf)));
