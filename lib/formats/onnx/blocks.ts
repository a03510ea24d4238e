// Matrices with few bits per weight and a scale for each group of inputs, as ONNX files hold them. Two ways:
//   MatMulNBits (onnxruntime's own operator, com.microsoft): codes of 4 or 8 bits, unpacked while it multiplies
//   DequantizeLinear with block_size (ONNX from opset 21 on): any engine; onnxruntime fuses it with the product that follows
// Rows of a matrix are padded to whole groups in the first.
import { pack, type Quantized } from "../../quantization/index.ts";
import { toHalves } from "../../util/half.ts";
import type { OnnxNode, OnnxTensor } from "./model.ts";

/** Codes of a matrix [outputs, inputs] with scales along the outputs, in groups along the inputs. */
interface Rows {
  outputs: number;
  inputs: number;
  /** Values that share a scale, and how many such groups a row has. */
  group: number;
  groups: number;
  /** What is added to a code so that it counts from 0. */
  shift: number;
}

function rowsOf(name: string, q: Quantized): Rows {
  const [outputs, inputs] = q.shape;
  const fits = q.shape.length === 2 && q.axis === 0 && (q.bits === 4 || q.bits === 8);
  if (!fits)
    throw new RangeError(
      `${name} must have 4 or 8 bits, [outputs, inputs] and scales along axis 0, got ${q.bits} bits, [${q.shape}] and axis ${q.axis}`,
    );
  const group = q.group ?? inputs;
  return {
    outputs,
    inputs,
    group,
    groups: Math.ceil(inputs / group),
    shift: q.signed ? 2 ** (q.bits - 1) : 0,
  };
}

/**
 * A product with a quantized matrix as onnxruntime's MatMulNBits.
 *
 * @param name of the matrix; constants and the node's output are named after it
 * @param q [outputs, inputs], 4 or 8 bits, scales along axis 0 in groups that are a power of two from 16 on
 * @param input name of the value [..., inputs]
 * @param options `scales`: how scales are written, default `FLOAT`; onnxruntime wants the type of the input
 */
export function matMulNBits(
  name: string,
  q: Quantized,
  input: string,
  {
    output = `${name}/product`,
    scales = "FLOAT",
    bias,
  }: { output?: string; scales?: "FLOAT" | "FLOAT16"; bias?: string } = {},
): { node: OnnxNode; tensors: OnnxTensor[] } {
  const rows = rowsOf(name, q);
  const { outputs, inputs, group, groups, shift } = rows;
  if (group < 16 || (group & (group - 1)) !== 0)
    throw new RangeError(
      `${name} must have groups of a power of two from 16 on for MatMulNBits, got ${group}`,
    );
  const perByte = 8 / q.bits;
  const blob = group / perByte;
  const codes = new Uint8Array(outputs * groups * blob);
  const zeros = new Uint8Array(outputs * Math.ceil(groups / perByte));
  const zeroRow = Math.ceil(groups / perByte);
  const scale = new Float32Array(outputs * groups);
  for (let o = 0; o < outputs; o++) {
    for (let g = 0; g < groups; g++) {
      scale[o * groups + g] = q.scale[g * outputs + o];
      const zero = q.zeroPoint[g * outputs + o] + shift;
      zeros[o * zeroRow + Math.floor(g / perByte)] |= zero << ((g % perByte) * q.bits);
    }
    const row = o * groups * blob;
    for (let i = 0; i < inputs; i++)
      codes[row + Math.floor(i / perByte)] |= (q.codes[o * inputs + i] + shift) << ((i % perByte) * q.bits);
  }
  const tensors: OnnxTensor[] = [
    { name: `${name}/codes`, type: "UINT8", shape: [outputs, groups, blob], bytes: codes },
    { name: `${name}/scales`, type: scales, shape: [outputs * groups], bytes: scaleBytes(scale, scales) },
  ];
  // Without zero points it takes the middle code, which is where symmetric grids have their 0.
  if (q.zeroPoint.some((zero) => zero !== 0) || shift === 0)
    tensors.push({ name: `${name}/zeros`, type: "UINT8", shape: [outputs * zeroRow], bytes: zeros });
  const inputsOf = [input, ...tensors.map((tensor) => tensor.name)];
  if (bias !== undefined) {
    // Its place is the sixth, behind zero points and an order of groups.
    while (inputsOf.length < 5) inputsOf.push("");
    inputsOf.push(bias);
  }
  return {
    tensors,
    node: {
      op: "MatMulNBits",
      domain: "com.microsoft",
      name: output,
      inputs: inputsOf,
      outputs: [output],
      attributes: { K: inputs, N: outputs, bits: q.bits, block_size: group },
    },
  };
}

function scaleBytes(values: Float32Array, type: "FLOAT" | "FLOAT16"): Uint8Array {
  return type === "FLOAT" ? new Uint8Array(values.buffer) : new Uint8Array(toHalves(values).buffer);
}

/**
 * A quantized matrix as DequantizeLinear with blocks (opset 21), the value being [inputs, outputs] as MatMul reads it, or
 * [outputs, inputs] with `turned` false.
 *
 * @param q [outputs, inputs], 4 or 8 bits, scales along axis 0, in groups or one a row
 */
export function dequantizeBlocks(
  name: string,
  q: Quantized,
  {
    turned = true,
    output = `${name}/floats`,
    scales = "FLOAT",
  }: { turned?: boolean; output?: string; scales?: "FLOAT" | "FLOAT16" } = {},
): { node: OnnxNode; tensors: OnnxTensor[] } {
  const { outputs, inputs, group, groups } = rowsOf(name, q);
  const type = `${q.signed ? "" : "U"}INT${q.bits}` as "INT4" | "UINT4" | "INT8" | "UINT8";
  const place = (o: number, i: number, across: number) => (turned ? i * outputs + o : o * across + i);
  const codes = new Int16Array(outputs * inputs);
  const scale = new Float32Array(outputs * groups);
  const zeros = new Int16Array(outputs * groups);
  for (let o = 0; o < outputs; o++) {
    for (let g = 0; g < groups; g++) {
      scale[place(o, g, groups)] = q.scale[g * outputs + o];
      zeros[place(o, g, groups)] = q.zeroPoint[g * outputs + o];
    }
    for (let i = 0; i < inputs; i++) codes[place(o, i, inputs)] = q.codes[o * inputs + i];
  }
  const sides = (across: number) => (turned ? [across, outputs] : [outputs, across]);
  const tensors: OnnxTensor[] = [
    { name: `${name}/codes`, type, shape: sides(inputs), bytes: pack(codes, q.bits) },
    { name: `${name}/scales`, type: scales, shape: sides(groups), bytes: scaleBytes(scale, scales) },
  ];
  if (q.zeroPoint.some((zero) => zero !== 0))
    tensors.push({ name: `${name}/zeros`, type, shape: sides(groups), bytes: pack(zeros, q.bits) });
  return {
    tensors,
    node: {
      op: "DequantizeLinear",
      domain: "",
      name: output,
      inputs: [...tensors.map((tensor) => tensor.name)],
      outputs: [output],
      attributes: { axis: turned ? 0 : 1, block_size: group },
    },
  };
}

/**
 * A quantized kernel as DequantizeLinear with one scale for each of its outputs (opset 13; 21 for 4 bits).
 *
 * @param q [outputs, the rest], one scale a row
 * @param shape as the kernel has it, outputs first
 */
export function dequantizeChannels(
  name: string,
  q: Quantized,
  shape: readonly number[],
  { output, scales = "FLOAT" }: { output: string; scales?: "FLOAT" | "FLOAT16" },
): { node: OnnxNode; tensors: OnnxTensor[] } {
  const type = `${q.signed ? "" : "U"}INT${q.bits}` as "INT4" | "INT8";
  const tensors: OnnxTensor[] = [
    { name: `${name}/codes`, type, shape, bytes: pack(q.codes, q.bits) },
    {
      name: `${name}/scales`,
      type: scales,
      shape: [q.scale.length],
      bytes: scaleBytes(q.scale.slice(), scales),
    },
  ];
  const inputs = tensors.map((tensor) => tensor.name);
  return {
    tensors,
    node: {
      op: "DequantizeLinear",
      domain: "",
      name: output,
      inputs,
      outputs: [output],
      attributes: { axis: 0 },
    },
  };
}

/**
 * A look-up of rows in a quantized table as onnxruntime's GatherBlockQuantized.
 *
 * @param q [rows, columns], 4 bits, scales along axis 0 in groups that are a power of two from 16 on
 * @param indices name of the value with the rows' numbers
 */
export function gatherBlocks(
  name: string,
  q: Quantized,
  indices: string,
  { output, scales = "FLOAT" }: { output: string; scales?: "FLOAT" | "FLOAT16" },
): { node: OnnxNode; tensors: OnnxTensor[] } {
  const { group } = rowsOf(name, q);
  if (q.bits !== 4 || group < 16 || (group & (group - 1)) !== 0)
    throw new RangeError(
      `${name} must have 4 bits in groups of a power of two from 16 on for GatherBlockQuantized, got ${q.bits} and ${group}`,
    );
  const { tensors } = dequantizeBlocks(name, q, { turned: false, scales });
  const [codes, ...grid] = tensors.map((tensor) => tensor.name);
  return {
    tensors,
    node: {
      op: "GatherBlockQuantized",
      domain: "com.microsoft",
      name: output,
      inputs: [codes, indices, ...grid],
      outputs: [output],
      attributes: { gather_axis: 0, quantize_axis: 1, block_size: group },
    },
  };
}
