// What stands in for nn/tfjs-node.ts: no page has native TensorFlow.
export function requireTfjsNode(): never {
  throw new Error("native TensorFlow needs Node");
}
