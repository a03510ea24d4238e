// What TensorRT asks of a quantized ONNX file (explicit quantization): checked here, since TensorRT itself needs a GPU. The
// rules are those of NVIDIA's documentation and of the errors that its parser reports.
import type { OnnxModel, OnnxNode, OnnxTensor } from "./model.ts";

/** What multiplies by a kernel, its second input. */
const products = ["Conv", "ConvTranspose", "Gemm", "MatMul"];

/** What is wrong with a file for TensorRT, a sentence each; empty where nothing is. */
export function tensorrtProblems(model: OnnxModel): string[] {
  const problems: string[] = [];
  const constants = new Map(model.initializers.map((tensor) => [tensor.name, tensor]));
  const producers = new Map(
    model.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)),
  );
  // What a node reads, which may be turned on its way.
  const from = ({ inputs }: OnnxNode, index: number): OnnxNode | undefined => {
    const producer = producers.get(inputs[index]);
    return producer?.op === "Transpose" ? producers.get(producer.inputs[0]) : producer;
  };
  const isGrid = (node: OnnxNode | undefined) => node?.op === "DequantizeLinear";
  const outputAxis = (codes: OnnxNode): number =>
    model.nodes.some((node) => node.op === "ConvTranspose" && node.inputs[1] === codes.outputs[0]) ? 1 : 0;
  for (const node of model.nodes) {
    const problem = (what: string) => problems.push(`${node.name}: ${what}`);
    if (/^QLinear|^DynamicQuantize|Integer$/.test(node.op)) problem(`${node.op} is not supported`);
    if (node.op === "QuantizeLinear" || node.op === "DequantizeLinear") {
      const [value, scale, zero] = node.inputs.map((name) => constants.get(name));
      const type = node.op === "DequantizeLinear" && value ? value.type : zero?.type;
      const blocks = Number(node.attributes.block_size ?? 0) > 0;
      const axis = outputAxis(node);
      if (zero?.bytes.some((byte) => byte !== 0)) problem("zero points must be 0");
      if (type !== undefined && type !== "INT8" && !(value && type === "INT4"))
        problem(`codes must be INT8, or INT4 for kernels, not ${type}`);
      if (type === "INT4" && !blocks) problem("kernels in INT4 must have their scales for blocks");
      if (value?.type === "INT8" && new Int8Array(value.bytes).includes(-128))
        problem("kernels must keep to −127 to 127");
      if (!value && scale && scale.shape.length > 0) problem("activations must have one scale");
      if (value && !blocks && node.attributes.axis !== axis)
        problem(`kernels must have their scales along axis ${axis}`);
    }
    if (products.includes(node.op)) {
      const [input, kernel] = [from(node, 0), from(node, 1)];
      // A kernel of 4 bits is multiplied by floats.
      const integers = isGrid(kernel) && constants.get(kernel!.inputs[0])?.type !== "INT4";
      if (integers && !isGrid(input)) problem("its input has no pair of Q and DQ");
      const bias: OnnxTensor | undefined = constants.get(node.inputs[2]);
      if (node.inputs[2] && bias?.type !== "FLOAT") problem("its bias must be float");
    }
    // Both branches of a residual block, or the sum is not fused; sums of sums are none.
    if (node.op === "Add" && !node.inputs.some((name) => constants.has(name))) {
      const both = [from(node, 0), from(node, 1)];
      if (both.some(isGrid) && !both.every((one) => isGrid(one) || one?.op === "Add"))
        problem("only one of its inputs has a pair of Q and DQ");
    }
  }
  return problems;
}
