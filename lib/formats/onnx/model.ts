// ONNX files as data: the messages of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto) that networks
// are made of, read and written. What operators mean is not known here.
import { shown } from "../../util/check.ts";
import { joinBytes } from "../../util/join.ts";
import { elements } from "../../util/shape.ts";
import { refuse } from "../error.ts";
import { ProtoWriter, readProto, readVarints } from "../protobuf.ts";

/** The types of numbers, by their number in the file, and the bytes of one; half a byte for the two of 4 bits. */
export const onnxTypes = {
  FLOAT: { code: 1, size: 4 },
  UINT8: { code: 2, size: 1 },
  INT8: { code: 3, size: 1 },
  UINT16: { code: 4, size: 2 },
  INT16: { code: 5, size: 2 },
  INT32: { code: 6, size: 4 },
  INT64: { code: 7, size: 8 },
  BOOL: { code: 9, size: 1 },
  FLOAT16: { code: 10, size: 2 },
  DOUBLE: { code: 11, size: 8 },
  UINT32: { code: 12, size: 4 },
  UINT64: { code: 13, size: 8 },
  BFLOAT16: { code: 16, size: 2 },
  UINT4: { code: 21, size: 0.5 },
  INT4: { code: 22, size: 0.5 },
} as const;
export type OnnxType = keyof typeof onnxTypes;

/** A constant; its bytes as the file has them, little-endian. */
export interface OnnxTensor {
  name: string;
  type: OnnxType;
  shape: readonly number[];
  bytes: Uint8Array;
}

/** What an operator is set to. A graph inside (of If and Loop) is known to be there and no more. */
export type OnnxAttribute =
  | number
  | string
  | readonly number[]
  | readonly string[]
  | OnnxTensor
  | { graph: true };

export interface OnnxNode {
  op: string;
  /** "" for ONNX's own operators. */
  domain: string;
  name: string;
  /** Names of values; "" where an optional one is left out. */
  inputs: readonly string[];
  outputs: readonly string[];
  attributes: Readonly<Record<string, OnnxAttribute>>;
}

/** What goes in or comes out: sizes that are not fixed have names, or null. */
export interface OnnxValue {
  name: string;
  type: OnnxType;
  shape: readonly (number | string | null)[];
}

export interface OnnxModel {
  irVersion: number;
  producer: string;
  /** The version of each set of operators, by domain. */
  opsets: Readonly<Record<string, number>>;
  name: string;
  nodes: readonly OnnxNode[];
  initializers: readonly OnnxTensor[];
  inputs: readonly OnnxValue[];
  outputs: readonly OnnxValue[];
}

/** A model as the bytes of an .onnx file. */
export function encodeOnnx(model: OnnxModel): Uint8Array<ArrayBuffer> {
  const graph = new ProtoWriter();
  for (const node of model.nodes) graph.message(1, nodeMessage(node));
  graph.text(2, model.name);
  for (const tensor of model.initializers) graph.message(5, tensorMessage(tensor));
  for (const value of model.inputs) graph.message(11, valueMessage(value));
  for (const value of model.outputs) graph.message(12, valueMessage(value));
  const file = new ProtoWriter().integer(1, model.irVersion).text(2, model.producer).message(7, graph);
  for (const [domain, version] of Object.entries(model.opsets))
    file.message(8, new ProtoWriter().text(1, domain).integer(2, version));
  return file.finish();
}

export function nodeMessage({ op, domain, name, inputs, outputs, attributes }: OnnxNode): ProtoWriter {
  const node = new ProtoWriter();
  for (const input of inputs) node.text(1, input);
  for (const output of outputs) node.text(2, output);
  node.text(3, name).text(4, op);
  for (const [key, value] of Object.entries(attributes)) node.message(5, attributeMessage(key, value));
  if (domain) node.text(7, domain);
  return node;
}

/** Attributes that are floats although their value may be whole. */
const floats = new Set(["alpha", "beta", "gamma", "epsilon", "momentum", "bias", "lambd", "cubic_coeff_a"]);

function attributeMessage(name: string, value: OnnxAttribute): ProtoWriter {
  const message = new ProtoWriter().text(1, name);
  if (typeof value === "string") return message.bytes(4, new TextEncoder().encode(value)).integer(20, 3);
  if (typeof value === "number") {
    if (floats.has(name)) return message.float(2, value).integer(20, 1);
    return message.integer(3, value).integer(20, 2);
  }
  if (Array.isArray(value)) {
    for (const item of value as number[]) message.integer(8, item);
    return message.integer(20, 7);
  }
  return message.message(5, tensorMessage(value as OnnxTensor)).integer(20, 4);
}

/** A constant's message; with `follows`, up to where so many bytes of its content follow. */
export function tensorMessage({ name, type, shape, bytes }: OnnxTensor, follows?: number): ProtoWriter {
  const message = new ProtoWriter();
  for (const size of shape) message.integer(1, size);
  message.integer(2, onnxTypes[type].code).text(8, name);
  return follows === undefined ? message.bytes(9, bytes) : message.start(9, follows);
}

function valueMessage({ name, type, shape }: OnnxValue): ProtoWriter {
  const dims = new ProtoWriter();
  for (const size of shape) {
    const dim = new ProtoWriter();
    if (typeof size === "number") dim.integer(1, size);
    else if (size !== null) dim.text(2, size);
    dims.message(1, dim);
  }
  const tensor = new ProtoWriter().integer(1, onnxTypes[type].code).message(2, dims);
  return new ProtoWriter().text(1, name).message(2, new ProtoWriter().message(1, tensor));
}

/**
 * Reads an .onnx file.
 *
 * @param file what error messages call it
 * @throws FormatError that names the file and the place
 */
export function decodeOnnx(bytes: Uint8Array, file = "the .onnx file"): OnnxModel {
  try {
    return modelFrom(bytes, file);
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError)
      refuse(file, `is no ONNX model, or damaged: ${error.message}`, error);
    throw error;
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true });
const text = (bytes: Uint8Array): string => decoder.decode(bytes);

function modelFrom(bytes: Uint8Array, file: string): OnnxModel {
  const opsets: Record<string, number> = {};
  let irVersion = 0;
  let producer = "";
  let graph: Uint8Array | undefined;
  for (const { field, integer, bytes: part } of readProto(bytes)) {
    if (field === 1) irVersion = integer;
    else if (field === 2) producer = text(part);
    else if (field === 7) graph = part;
    else if (field === 8) {
      let domain = "";
      let version = 0;
      for (const item of readProto(part)) {
        if (item.field === 1) domain = text(item.bytes);
        else if (item.field === 2) version = item.integer;
      }
      opsets[domain === "ai.onnx" ? "" : domain] = version;
    }
  }
  if (!graph) refuse(file, "is no ONNX model: it has no graph");
  if (!(opsets[""] >= 1) && Object.keys(opsets).length === 0)
    refuse(file, "is no ONNX model: it names no set of operators");
  return { irVersion, producer, opsets, ...graphFrom(graph, file) };
}

type OnnxGraph = Pick<OnnxModel, "name" | "nodes" | "initializers" | "inputs" | "outputs">;

function graphFrom(bytes: Uint8Array, file: string): OnnxGraph {
  const nodes: OnnxNode[] = [];
  const initializers: OnnxTensor[] = [];
  const inputs: OnnxValue[] = [];
  const outputs: OnnxValue[] = [];
  let name = "";
  for (const { field, bytes: part } of readProto(bytes)) {
    if (field === 1) nodes.push(nodeFrom(part, file));
    else if (field === 2) name = text(part);
    else if (field === 5) initializers.push(tensorFrom(part, file));
    else if (field === 11) inputs.push(valueFrom(part, file));
    else if (field === 12) outputs.push(valueFrom(part, file));
    else if (field === 15) refuse(file, "has sparse initializers, which are not supported");
  }
  const constants = new Set(initializers.map((tensor) => tensor.name));
  // Old files list their constants among the inputs, too.
  return { name, nodes, initializers, inputs: inputs.filter((input) => !constants.has(input.name)), outputs };
}

export function nodeFrom(bytes: Uint8Array, file: string): OnnxNode {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes: Record<string, OnnxAttribute> = {};
  let [op, domain, name] = ["", "", ""];
  for (const { field, bytes: part } of readProto(bytes)) {
    if (field === 1) inputs.push(text(part));
    else if (field === 2) outputs.push(text(part));
    else if (field === 3) name = text(part);
    else if (field === 4) op = text(part);
    else if (field === 5) {
      const [key, value] = attributeFrom(part, file);
      Object.defineProperty(attributes, key, { value, enumerable: true, configurable: true, writable: true });
    } else if (field === 7) domain = text(part);
  }
  return { op, domain: domain === "ai.onnx" ? "" : domain, name, inputs, outputs, attributes };
}

function attributeFrom(bytes: Uint8Array, file: string): [string, OnnxAttribute] {
  let name = "";
  let value: OnnxAttribute | undefined;
  const list: number[] = [];
  const texts: string[] = [];
  for (const item of readProto(bytes)) {
    switch (item.field) {
      case 1:
        name = text(item.bytes);
        break;
      case 2:
        value = item.float;
        break;
      case 3:
        value = item.integer;
        break;
      case 4:
        value = text(item.bytes);
        break;
      case 5:
        value = tensorFrom(item.bytes, file);
        break;
      case 6:
      case 11:
        value = { graph: true };
        break;
      case 7:
        if (item.wire === "bytes") list.push(...floatsIn(item.bytes));
        else list.push(item.float);
        break;
      case 8:
        if (item.wire === "bytes") for (const number of readVarints(item.bytes)) list.push(number);
        else list.push(item.integer);
        break;
      case 9:
        texts.push(text(item.bytes));
        break;
    }
  }
  return [name, value ?? (texts.length > 0 ? texts : list)];
}

function floatsIn(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength - (bytes.byteLength % 4));
  return Array.from({ length: view.byteLength / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

/** The most bytes that one constant may have: more would not fit into an .onnx file. */
const largest = 2 ** 31;

export function tensorFrom(bytes: Uint8Array, file: string): OnnxTensor {
  const shape: number[] = [];
  let name = "";
  let code = 0;
  let raw: Uint8Array | undefined;
  const chunks: { field: number; bytes: Uint8Array }[] = [];
  const singles: { field: number; value: number }[] = [];
  for (const item of readProto(bytes)) {
    if (item.field === 1) {
      if (item.wire === "bytes") shape.push(...readVarints(item.bytes));
      else shape.push(item.integer);
    } else if (item.field === 2) code = item.integer;
    else if (item.field === 8) name = text(item.bytes);
    else if (item.field === 9) raw = item.bytes;
    else if (item.field === 14 && item.integer === 1)
      refuse(
        file,
        `tensor ${shown(name)} lies in another file, which is not supported: save the model in one file`,
      );
    else if ([4, 5, 7, 10, 11].includes(item.field)) {
      if (item.wire === "bytes") chunks.push(item);
      else singles.push({ field: item.field, value: item.wire === "integer" ? item.integer : item.float });
    }
  }
  const found = Object.entries(onnxTypes).find(([, type]) => type.code === code);
  if (!found) refuse(file, `tensor ${shown(name)} has type number ${code}, which is not supported`);
  const [type, { size }] = found as [OnnxType, { size: number }];
  if (shape.some((n) => !Number.isSafeInteger(n) || n < 0) || shape.length > 64)
    refuse(file, `tensor ${shown(name)} has shape [${shape.slice(0, 8)}]`);
  const length = Math.ceil(elements(shape) * size);
  if (!(length <= largest)) refuse(file, `tensor ${shown(name)} is said to have ${length} bytes`);
  const content = raw ?? typedBytes(type, chunks, singles, length, file, shown(name));
  if (content.length !== length)
    refuse(file, `tensor ${shown(name)} of shape [${shape}] takes ${length} bytes, got ${content.length}`);
  return { name, type, shape, bytes: content };
}

/** Numbers from the fields for them (float_data, int32_data, int64_data …) as raw bytes. */
function typedBytes(
  type: OnnxType,
  chunks: { field: number; bytes: Uint8Array }[],
  singles: { field: number; value: number }[],
  length: number,
  file: string,
  name: string,
): Uint8Array {
  const { size } = onnxTypes[type];
  if (singles.length === 0 && chunks.every(({ field }) => field === 4 || field === 10)) {
    // Floats lie packed as they are.
    const total = chunks.reduce((sum, { bytes }) => sum + bytes.length, 0);
    if (total !== length) refuse(file, `tensor ${name} takes ${length} bytes, got ${total}`);
    return joinBytes(chunks.map(({ bytes }) => bytes));
  }
  const numbers: number[] = singles.map(({ value }) => value);
  for (const { field, bytes } of chunks)
    if (field === 4) for (const value of floatsIn(bytes)) numbers.push(value);
    else for (const value of readVarints(bytes)) numbers.push(value);
  if (size < 1 || numbers.length * size !== length)
    refuse(file, `tensor ${name} takes ${length} bytes, got ${numbers.length} numbers`);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of numbers.entries()) {
    if (type === "FLOAT") view.setFloat32(4 * i, value, true);
    else if (type === "DOUBLE") view.setFloat64(8 * i, value, true);
    else if (size === 8) view.setBigInt64(8 * i, BigInt(Math.trunc(value) || 0), true);
    else if (size === 4) view.setInt32(4 * i, value, true);
    else if (size === 2) view.setInt16(2 * i, value, true);
    else view.setInt8(i, value);
  }
  return bytes;
}

function valueFrom(bytes: Uint8Array, file: string): OnnxValue {
  let name = "";
  let type: OnnxType = "FLOAT";
  const shape: (number | string | null)[] = [];
  for (const item of readProto(bytes)) {
    if (item.field === 1) name = text(item.bytes);
    if (item.field !== 2) continue;
    for (const kind of readProto(item.bytes)) {
      if (kind.field !== 1) refuse(file, `value ${shown(name)} is no tensor`);
      for (const part of readProto(kind.bytes)) {
        if (part.field === 1) type = typeOf(part.integer, name, file);
        if (part.field !== 2) continue;
        for (const dim of readProto(part.bytes)) shape.push(sizeFrom(dim.bytes));
      }
    }
  }
  return { name, type, shape };
}

function typeOf(code: number, name: string, file: string): OnnxType {
  const found = Object.entries(onnxTypes).find(([, type]) => type.code === code);
  if (!found) refuse(file, `value ${shown(name)} has type number ${code}, which is not supported`);
  return found[0] as OnnxType;
}

function sizeFrom(bytes: Uint8Array): number | string | null {
  for (const { field, integer, bytes: part } of readProto(bytes)) {
    if (field === 1) return integer;
    if (field === 2) return text(part);
  }
  return null;
}
