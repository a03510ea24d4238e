// TensorFlow.js models and tensors on their way across the border, both ways: a model as its topology and its weights, a
// tensor as its shape and its numbers.
import { BorderError, readTyped, type Wire, type WireList, writeValue } from "./values.ts";

type TensorFlow = typeof import("../../nn/index.ts")["tf"];

interface TensorLike {
  shape: number[];
  dtype: string;
  dataSync(): ArrayBufferView;
}

interface ModelLike {
  layers: unknown[];
  toJSON(unused: unknown, asString: false): unknown;
  getWeights(): TensorLike[];
}

/** What can be given back when it is no longer needed. */
export interface Disposable {
  dispose(): void;
}

const noFunctions = {
  functionOf: (): never => {
    throw new BorderError("a weight is a function");
  },
};

/** A layers model, written; undefined for anything else. */
export function writeModel(value: object): WireList | undefined {
  const model = value as ModelLike;
  if (
    typeof model.getWeights !== "function" ||
    typeof model.toJSON !== "function" ||
    !Array.isArray(model.layers)
  ) {
    return undefined;
  }
  const weights = model
    .getWeights()
    .map((weight) => [weight.shape, weight.dtype, writeValue(weight.dataSync(), noFunctions)]);
  return ["model", JSON.stringify(model.toJSON(null, false)), weights];
}

/** A tensor, written; undefined for anything else. */
export function writeTensor(value: object): WireList | undefined {
  const { shape, dtype, dataSync } = value as TensorLike;
  if (!Array.isArray(shape) || typeof dtype !== "string" || typeof dataSync !== "function") return undefined;
  if (!/^(float32|int32|bool)$/.test(dtype)) return undefined;
  return ["tensor", [...shape], dtype, writeValue((value as TensorLike).dataSync(), noFunctions)];
}

/** TensorFlow.js where this process has it already, or where what came needs it. */
export async function tensorFlowFor(wires: Wire[]): Promise<TensorFlow | undefined> {
  const isLoaded = (globalThis as { _tfengine?: unknown })._tfengine !== undefined;
  const isNeeded = () =>
    wires.some((wire) => nodesIn(wire, "tensor").length + nodesIn(wire, "model").length > 0);
  return isLoaded || isNeeded() ? (await import("../../nn/index.ts")).tf : undefined;
}

/** The models in what came, made: that takes waiting, which reading the rest does not. */
export async function modelsIn(wires: Wire[]): Promise<Map<unknown, Disposable>> {
  const models = new Map<unknown, Disposable>();
  for (const node of wires.flatMap((wire) => nodesIn(wire, "model"))) {
    const { tf } = await import("../../nn/index.ts");
    const [, topology, weights] = node as [string, unknown, WireList[]];
    const model = await tf.models.modelFromJSON(JSON.parse(String(topology)));
    const tensors = weights.map((weight) => readTensor(["tensor", ...weight], tf));
    model.setWeights(tensors);
    for (const tensor of tensors) tensor.dispose();
    models.set(node, model);
  }
  return models;
}

/** The tensor that was written. */
export function readTensor([, shape, dtype, data]: WireList, tf: TensorFlow | undefined) {
  if (!tf) throw new BorderError("a tensor came where TensorFlow.js is not loaded");
  const [kind, name, base64] = data as WireList;
  if (kind !== "typed" || !Array.isArray(shape)) throw new BorderError("what came is no tensor");
  return tf.tensor(readTyped(name, base64) as Float32Array, shape as number[], dtype as "float32");
}

function nodesIn(wire: unknown, kind: "model" | "tensor"): WireList[] {
  if (!Array.isArray(wire)) return [];
  if (wire[0] === kind && wire.length > 2 && Array.isArray(wire[kind === "model" ? 2 : 1]))
    return [wire as WireList];
  const found: WireList[] = [];
  for (const one of wire) if (Array.isArray(one)) found.push(...nodesIn(one, kind));
  return found;
}
