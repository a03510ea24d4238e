// An .onnx file by its places: nodes are read, constants only found, so that a file of gigabytes can be gone through with
// the memory of one constant. Constants may also lie in files beside it ("external data"), as those beyond 2 GB must.
import { joinPath, type OpenFile, openFile } from "#platform";
import { shown } from "../../util/check.ts";
import { elements } from "../../util/shape.ts";
import { reading, refuse } from "../error.ts";
import { readProto, readVarints } from "../protobuf.ts";
import { nodeFrom, type OnnxNode, type OnnxTensor, type OnnxType, onnxTypes, tensorFrom } from "./model.ts";

/** Bytes from one place of a file to another. */
export interface Span {
  from: number;
  length: number;
}

/** A constant, as the file describes it. */
export interface FoundTensor {
  name: string;
  type: OnnxType;
  shape: readonly number[];
  /** Its message, without key and length. */
  message: Span;
  /** Its bytes where they lie in one piece: in this file, or in one beside it. */
  bytes?: Span & { file?: string };
  /** The Constant that gives it, where it is none of the graph's own constants: Paddle writes all of them so. */
  node?: number;
}

/** A file that has been gone through. */
export interface ScannedOnnx {
  path: string;
  file: OpenFile;
  opsets: Record<string, number>;
  /** Everything of the model that is not its graph, whole fields. */
  around: Span[];
  nodes: (OnnxNode & { message: Span; inner: string[] })[];
  tensors: FoundTensor[];
  inputs: { name: string; span: Span }[];
  outputs: string[];
  /** Everything of the graph that is no node, constant or input, whole fields. */
  rest: Span[];
}

/** One field of a message that lies in a file. */
interface Field {
  field: number;
  wire: number;
  /** With its key. */
  whole: Span;
  /** What a field with a length holds. */
  content: Span;
  integer: number;
}

/** Reads a file through a window, so that finding short things one after the other takes few calls. */
class Window {
  #start = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  readonly #file: OpenFile;

  constructor(file: OpenFile) {
    this.#file = file;
  }

  async at(from: number, length: number): Promise<Uint8Array> {
    if (from < this.#start || from + length > this.#start + this.#bytes.length) {
      this.#start = from;
      this.#bytes = await this.#file.read(from, Math.max(length, 1 << 16));
    }
    return this.#bytes.subarray(from - this.#start, from - this.#start + length);
  }
}

async function* fieldsIn(window: Window, { from, length }: Span): AsyncGenerator<Field> {
  const end = from + length;
  let at = from;
  const varint = async (): Promise<number> => {
    const bytes = await window.at(at, Math.min(10, end - at));
    let value = 0n;
    for (let i = 0; i < bytes.length; i++) {
      value |= BigInt(bytes[i] & 127) << BigInt(7 * i);
      if (bytes[i] >= 128) continue;
      at += i + 1;
      return Number(BigInt.asIntN(64, value));
    }
    throw new RangeError("a number ends behind the message");
  };
  while (at < end) {
    const begin = at;
    const key = await varint();
    const [field, wire] = [Math.floor(key / 8), key % 8];
    if (field <= 0) throw new RangeError(`a field has number ${field}`);
    let integer = 0;
    let content: Span = { from: at, length: 0 };
    if (wire === 0) integer = await varint();
    else if (wire === 2) {
      const size = await varint();
      content = { from: at, length: size };
      at += size;
    } else if (wire === 1 || wire === 5) at += wire === 1 ? 8 : 4;
    else throw new RangeError(`field ${field} has wire type ${wire}`);
    if (at > end || content.length < 0)
      throw new RangeError(`a field of ${content.length} bytes ends behind the message`);
    yield { field, wire, integer, content, whole: { from: begin, length: at - begin } };
  }
}

/**
 * Goes through an .onnx file.
 *
 * @returns the file, open: whoever asked closes it
 * @throws FormatError that names the file and the place
 */
export async function scanOnnx(path: string): Promise<ScannedOnnx> {
  return scanOpened(await openFile(path), path);
}

/** {@link scanOnnx} for a file that is open, which is closed where it is refused. */
export async function scanOpened(file: OpenFile, path: string): Promise<ScannedOnnx> {
  try {
    return await scanned(file, path);
  } catch (error) {
    await file.close();
    if (error instanceof RangeError || error instanceof TypeError)
      refuse(path, `is no ONNX model, or damaged: ${error.message}`, error);
    throw error;
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true });

async function scanned(file: OpenFile, path: string): Promise<ScannedOnnx> {
  const window = new Window(file);
  const read = async ({ from, length }: Span) => window.at(from, length);
  const found: ScannedOnnx = {
    path,
    file,
    opsets: {},
    around: [],
    nodes: [],
    tensors: [],
    inputs: [],
    outputs: [],
    rest: [],
  };
  let graph: Span | undefined;
  for await (const { field, content, whole } of fieldsIn(window, { from: 0, length: file.size })) {
    if (field === 7) graph = content;
    else found.around.push(whole);
    if (field !== 8) continue;
    let [domain, version] = ["", 0];
    for (const item of readProto(await read(content))) {
      if (item.field === 1) domain = decoder.decode(item.bytes);
      if (item.field === 2) version = item.integer;
    }
    found.opsets[domain === "ai.onnx" ? "" : domain] = version;
  }
  if (!graph) refuse(path, "is no ONNX model: it has no graph");
  for await (const { field, content, whole } of fieldsIn(window, graph)) {
    if (field === 1) {
      const bytes = await read(content);
      const node = nodeFrom(bytes.slice(), path);
      const constant = node.op === "Constant" && node.domain === "" && (await valueAt(window, content));
      if (constant) {
        const [name] = node.outputs;
        found.tensors.push({ ...(await tensorAt(window, constant, path)), name, node: found.nodes.length });
      }
      found.nodes.push({
        ...node,
        // Where it lies is known: it need not stay in memory.
        ...(constant ? { attributes: {} } : {}),
        message: content,
        inner: [...namesInside(bytes)],
      });
    } else if (field === 5) found.tensors.push(await tensorAt(window, content, path));
    else if (field === 11) found.inputs.push({ name: nameIn(await read(content)), span: whole });
    else {
      if (field === 12) found.outputs.push(nameIn(await read(content)));
      found.rest.push(whole);
    }
  }
  return found;
}

const nameIn = (bytes: Uint8Array): string => {
  for (const { field, bytes: part } of readProto(bytes)) if (field === 1) return decoder.decode(part);
  return "";
};

/** Names of values that the graphs inside a node (of If and Loop) read. */
function* namesInside(node: Uint8Array): Generator<string> {
  for (const attribute of readProto(node)) {
    if (attribute.field !== 5) continue;
    for (const { field, bytes: graph } of readProto(attribute.bytes)) {
      if (field !== 6 && field !== 11) continue;
      for (const part of readProto(graph)) {
        if (part.field === 12) yield nameIn(part.bytes);
        if (part.field !== 1) continue;
        for (const item of readProto(part.bytes)) if (item.field === 1) yield decoder.decode(item.bytes);
        yield* namesInside(part.bytes);
      }
    }
  }
}

/** Where the tensor lies that a Constant gives; undefined for one of numbers or texts. */
async function valueAt(window: Window, node: Span): Promise<Span | undefined> {
  for await (const { field, content: attribute } of fieldsIn(window, node)) {
    if (field !== 5) continue;
    let [name, value] = ["", undefined as Span | undefined];
    for await (const { field, content } of fieldsIn(window, attribute)) {
      if (field === 1) name = decoder.decode(await window.at(content.from, content.length));
      if (field === 5) value = content;
    }
    if (name === "value" && value) return value;
  }
  return undefined;
}

/** What a constant's message says, its bytes left where they are. */
async function tensorAt(window: Window, message: Span, path: string): Promise<FoundTensor> {
  const shape: number[] = [];
  const external: Record<string, string> = {};
  let [name, code, outside] = ["", 0, false];
  let raw: Span | undefined;
  for await (const { field, wire, integer, content } of fieldsIn(window, message)) {
    if (field === 1 && wire === 0) shape.push(integer);
    else if (field === 1) {
      shape.push(...readVarints(await window.at(content.from, content.length)));
    } else if (field === 2) code = integer;
    else if (field === 8) name = decoder.decode(await window.at(content.from, content.length));
    else if (field === 9) raw = content;
    else if (field === 14) outside = integer === 1;
    else if (field === 13) {
      let [key, value] = ["", ""];
      for (const item of readProto(await window.at(content.from, content.length))) {
        if (item.field === 1) key = decoder.decode(item.bytes);
        if (item.field === 2) value = decoder.decode(item.bytes);
      }
      external[key] = value;
    }
  }
  const type = (Object.keys(onnxTypes) as OnnxType[]).find((known) => onnxTypes[known].code === code);
  if (!type) refuse(path, `tensor ${shown(name)} has type number ${code}, which is not supported`);
  if (shape.some((size) => !Number.isSafeInteger(size) || size < 0) || shape.length > 64)
    refuse(path, `tensor ${shown(name)} has shape [${shape.slice(0, 8)}]`);
  const length = Math.ceil(elements(shape) * onnxTypes[type].size);
  const found = { name, type, shape, message };
  if (outside) return { ...found, bytes: outsideAt(external, length, name, path) };
  if (raw && raw.length !== length)
    refuse(path, `tensor ${shown(name)} of shape [${shape}] takes ${length} bytes, got ${raw.length}`);
  return raw ? { ...found, bytes: raw } : found;
}

/** Where a constant lies that is kept in another file: that must be in the model's folder, or below it. */
function outsideAt(
  { location = "", offset = "0", length: said }: Record<string, string>,
  length: number,
  name: string,
  path: string,
): Span & { file: string } {
  const steps = location.split(/[\\/]/);
  if (location === "" || steps[0] === "" || steps[0].endsWith(":") || steps.includes(".."))
    refuse(path, `tensor ${shown(name)} lies in ${shown(location)}, which is not in the model's folder`);
  const from = Number(offset);
  if (!Number.isSafeInteger(from) || from < 0 || (said !== undefined && Number(said) !== length))
    refuse(path, `tensor ${shown(name)} takes ${length} bytes, got ${said} at ${offset} of ${location}`);
  const folder = path.slice(0, Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1) || ".";
  return { from, length, file: joinPath(folder, location) };
}

/** The bytes of a constant, wherever they lie. */
export async function bytesOfTensor(scan: ScannedOnnx, tensor: FoundTensor): Promise<Uint8Array> {
  if (!tensor.bytes) {
    const { from, length } = tensor.message;
    const message = await scan.file.read(from, length);
    return reading(scan.path, () => tensorFrom(message, scan.path) satisfies OnnxTensor).bytes;
  }
  const { from, length, file } = tensor.bytes;
  if (file === undefined) return scan.file.read(from, length);
  const other = await openFile(file).catch((error: Error) =>
    refuse(
      scan.path,
      `tensor ${shown(tensor.name)} lies in ${file}, which cannot be read: ${error.message}`,
      error,
    ),
  );
  try {
    const bytes = await other.read(from, length);
    if (bytes.length !== length)
      refuse(
        scan.path,
        `tensor ${shown(tensor.name)} takes ${length} bytes, ${file} has ${bytes.length} there`,
      );
    return bytes;
  } finally {
    await other.close();
  }
}
