// What TensorRT asks of a quantized ONNX file (explicit quantization): checked here, since TensorRT itself needs a GPU. The
// rules are those of NVIDIA's documentation and of the errors that its parser reports.
import type { OnnxModel, OnnxTensor } from "./model.ts";

/** What is wrong with a file for TensorRT, a sentence each; empty where nothing is. */
export function tensorrtProblems(model: OnnxModel): string[] {
  const problems: string[] = [];
  const constants = new Map(model.initializers.map((tensor) => [tensor.name, tensor]));
  const producers = new Map(
    model.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)),
  );
  for (const node of model.nodes) {
    if (/^QLinear|^DynamicQuantize|Integer$/.test(node.op))
      problems.push(`${node.name}: ${node.op} is not supported`);
    if (node.op === "QuantizeLinear" || node.op === "DequantizeLinear") {
      const [value, scale, zero] = node.inputs.map((name) => constants.get(name));
      if (zero?.bytes.some((byte) => byte !== 0)) problems.push(`${node.name}: zero points must be 0`);
      if (zero && zero.type !== "INT8") problems.push(`${node.name}: codes must be INT8, not ${zero.type}`);
      if (value?.type === "INT8" && new Int8Array(value.bytes).includes(-128))
        problems.push(`${node.name}: kernels must keep to −127 to 127`);
      if (!value && scale && scale.shape.length > 0)
        problems.push(`${node.name}: activations must have one scale`);
      if (value && node.attributes.axis !== 0)
        problems.push(`${node.name}: kernels must have their scales along axis 0`);
    }
    if (node.op === "Conv" || node.op === "Gemm") {
      const from = (index: number): string | undefined => producers.get(node.inputs[index])?.op;
      const quantized = from(1) === "DequantizeLinear";
      if (quantized && from(0) !== "DequantizeLinear")
        problems.push(`${node.name}: its input has no pair of Q and DQ`);
      const bias: OnnxTensor | undefined = constants.get(node.inputs[2]);
      if (node.inputs[2] && bias?.type !== "FLOAT") problems.push(`${node.name}: its bias must be float`);
    }
  }
  return problems;
}
