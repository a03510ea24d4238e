// ONNX files whose matrices are compressed where they stand: for networks that no layers model can hold (transformers), of
// any size. Every operator stays; a product with a constant matrix becomes MatMulNBits, or reads its matrix through
// DequantizeLinear with blocks. Constants are read one after the other, so memory holds one.
import { type OpenFile, openFile, removeFile, writePartsAtomic } from "#platform";
import { dequantize, fewWeights, type Quantized, quantize } from "../../quantization/index.ts";
import { checkInteger, checkOneOf } from "../../util/check.ts";
import { fromBfloats, fromHalves, toHalves } from "../../util/half.ts";
import { elements } from "../../util/shape.ts";
import { transposed } from "../../util/transpose.ts";
import { ProtoWriter } from "../protobuf.ts";
import { dequantizeBlocks, dequantizeChannels, gatherBlocks, matMulNBits } from "./blocks.ts";
import { nodeMessage, type OnnxNode, type OnnxTensor, tensorMessage } from "./model.ts";
import { bytesOfTensor, type FoundTensor, type ScannedOnnx, type Span, scanOnnx } from "./scan.ts";

/**
 * How compressed matrices are written. `matmulnbits`: onnxruntime's own operators, which unpack while they multiply.
 * `dequantize`: ONNX's DequantizeLinear with blocks, for any engine, from opset 21 on.
 */
export const onnxLayouts = ["matmulnbits", "dequantize"] as const;
export type OnnxLayout = (typeof onnxLayouts)[number];

/** Options of {@link compressOnnx}. */
export interface OnnxCompressOptions {
  /** Bits a weight: 4 or 8. */
  bits: 4 | 8;
  /** Weights that share a scale, along the inputs; a power of two from 16 on. Default 32. */
  group?: number;
  /** Default `matmulnbits`. */
  layout?: OnnxLayout;
  /** Default `affine`: a zero point for each group, too. */
  scheme?: "symmetric" | "affine";
  /** Constants with fewer numbers stay as they are; default 1,024. */
  smallest?: number;
  /** Is told after each constant. */
  onTensor?: (name: string, done: number, total: number) => void;
  signal?: AbortSignal;
}

/** What became of a file. */
export interface OnnxCompressed {
  /** Bytes of the file. */
  bytes: number;
  /** Each matrix that was compressed: its bytes before and after, and ‖W − Ŵ‖ / ‖W‖. */
  changed: {
    name: string;
    shape: readonly number[];
    operators: string;
    before: number;
    after: number;
    error: number;
  }[];
  /** Each constant of floats that stays as it was, and why. */
  left: { name: string; bytes: number; why: string }[];
}

/** How a constant is read: rows of a matrix are its outputs, or columns are; a table's rows are looked up. */
type Side = "columns" | "rows" | "table" | "channels";

interface Use {
  node: number;
  /** Which input of the node. */
  input: number;
  side: Side;
}

interface Plan {
  tensor: FoundTensor;
  uses: Use[];
}

/**
 * Writes an .onnx file with its constant matrices in 4 or 8 bits: the second input of MatMul and Gemm, the tables of Gather,
 * and the kernels of Conv, which have one scale a channel. The network is otherwise as it was.
 *
 * @param from may have its constants in files beside it
 * @param to one file, written whole or not at all
 * @throws FormatError for a file that is damaged; RangeError for options out of range, a layout that the file's opset does
 *   not have, a file in which there is nothing to compress, or a result of 2 GB and more, which one file cannot be
 */
export async function compressOnnx(
  from: string,
  to: string,
  options: OnnxCompressOptions,
): Promise<OnnxCompressed> {
  const { bits, group = 32, layout = "matmulnbits" } = options;
  if (bits !== 4 && bits !== 8) throw new RangeError(`bits must be 4 or 8, got ${bits}`);
  checkInteger("group", group, 16);
  if ((group & (group - 1)) !== 0) throw new RangeError(`group must be a power of two, got ${group}`);
  checkOneOf("layout", layout, onnxLayouts);
  const scan = await scanOnnx(from);
  const parts = `${to}.parts.tmp`;
  try {
    if (layout === "dequantize" && !(scan.opsets[""] >= 21))
      throw new RangeError(
        `${from} must have opset 21 or more for DequantizeLinear with blocks, got ${scan.opsets[""]}: use the layout matmulnbits`,
      );
    return await new Rewriter(scan, { ...options, group, layout }).write(to, parts);
  } finally {
    await scan.file.close();
    await removeFile(parts);
  }
}

/** The opset from which on DequantizeLinear has a scale a channel for so many bits. */
const channelsFrom = { 4: 21, 8: 13 } as const;

class Rewriter {
  readonly #scan: ScannedOnnx;
  readonly #options: OnnxCompressOptions & { group: number; layout: OnnxLayout };
  readonly #nodes: (OnnxNode | undefined)[];
  /** What goes before and behind each node. */
  readonly #before = new Map<number, OnnxNode[]>();
  readonly #after = new Map<number, OnnxNode[]>();
  /** What goes before all nodes. */
  readonly #casts: OnnxNode[] = [];
  /** Names of values that are made already. */
  readonly #made = new Set<string>();
  readonly #result: OnnxCompressed = { bytes: 0, changed: [], left: [] };
  #own = false;

  constructor(scan: ScannedOnnx, options: OnnxCompressOptions & { group: number; layout: OnnxLayout }) {
    this.#scan = scan;
    this.#options = options;
    this.#nodes = [...scan.nodes];
  }

  async write(to: string, partsPath: string): Promise<OnnxCompressed> {
    const { onTensor, signal } = this.#options;
    const plans = this.#plans();
    if (plans.length === 0)
      throw new RangeError(
        `${this.#scan.path} has no constant matrix to compress${
          this.#result.left.length > 0
            ? `: ${this.#result.left
                .slice(0, 5)
                .map(({ name, why }) => `${name} (${why})`)
                .join(", ")}`
            : ""
        }`,
      );
    // What constants become goes to a file of its own first: lengths stand before what they are of.
    await writePartsAtomic(partsPath, this.#constants(plans, onTensor, signal));
    this.#dropTransposes();
    const gone = new Set(plans.map(({ tensor }) => tensor.name));
    for (const { tensor } of plans) if (tensor.node !== undefined) this.#nodes[tensor.node] = undefined;
    const packed = await openFile(partsPath);
    try {
      let bytes = 0;
      const counted = async function* (all: AsyncIterable<Uint8Array>) {
        for await (const part of all) {
          bytes += part.length;
          yield part;
        }
      };
      await writePartsAtomic(to, counted(this.#file(packed, gone)));
      return { ...this.#result, bytes };
    } finally {
      await packed.close();
    }
  }

  /** Which constants can be compressed; of all other floats, why not. */
  #plans(): Plan[] {
    const { nodes, tensors, outputs } = this.#scan;
    const { smallest = fewWeights } = this.#options;
    const readers = new Map<string, { node: number; input: number }[]>();
    const elsewhere = new Set(outputs);
    for (const [node, { inputs, inner }] of nodes.entries()) {
      for (const name of inner) elsewhere.add(name);
      for (const [input, name] of inputs.entries())
        readers.set(name, [...(readers.get(name) ?? []), { node, input }]);
    }
    const plans: Plan[] = [];
    for (const tensor of tensors) {
      if (!["FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE"].includes(tensor.type)) continue;
      const size = elements(tensor.shape);
      const leave = (why: string) =>
        this.#result.left.push({ name: tensor.name, bytes: tensor.bytes?.length ?? size * 4, why });
      const uses: Use[] = [];
      const others = new Set<string>();
      for (const { node, input } of readers.get(tensor.name) ?? []) {
        const side = this.#sideOf(tensor, node, input, readers, elsewhere);
        if (side) uses.push({ node, input, side });
        else others.add(this.#whyNot(nodes[node], input));
      }
      if (size < smallest) leave(`fewer than ${smallest} numbers`);
      else if (tensor.type !== "FLOAT" && tensor.type !== "FLOAT16") leave(`of ${tensor.type}`);
      else if (elsewhere.has(tensor.name)) leave("read inside of a graph, or given out");
      else if (others.size > 0) leave(`read by ${[...others].join(", ")}`);
      else if (uses.length === 0) leave("read by nothing");
      else plans.push({ tensor, uses });
    }
    return plans;
  }

  #sideOf(
    { shape }: FoundTensor,
    at: number,
    input: number,
    readers: ReadonlyMap<string, { node: number; input: number }[]>,
    elsewhere: ReadonlySet<string>,
  ): Side | undefined {
    const { nodes, opsets } = this.#scan;
    const { bits, layout } = this.#options;
    const { op, domain, attributes, outputs } = nodes[at];
    if (domain !== "") return undefined;
    const matrix = shape.length === 2;
    if (op === "MatMul" && input === 1 && matrix) return "columns";
    if (op === "Gemm" && input === 1 && matrix) {
      const plain = !attributes.transA && (attributes.alpha ?? 1) === 1 && (attributes.beta ?? 1) === 1;
      if (layout === "matmulnbits" && !plain) return undefined;
      return attributes.transB ? "rows" : "columns";
    }
    if (op === "Gather" && input === 0 && matrix && !attributes.axis)
      // onnxruntime looks up in tables of 4 bits.
      return layout === "dequantize" || bits === 4 ? "table" : undefined;
    if (op === "Conv" && input === 1) return opsets[""] >= channelsFrom[bits] ? "channels" : undefined;
    if (op === "Transpose" && matrix && String(attributes.perm ?? "1,0") === "1,0") {
      const next = readers.get(outputs[0]) ?? [];
      const products = next.every(
        (reader) =>
          reader.input === 1 && nodes[reader.node].op === "MatMul" && nodes[reader.node].domain === "",
      );
      return products && next.length > 0 && !elsewhere.has(outputs[0]) ? "rows" : undefined;
    }
    return undefined;
  }

  /** What reads a constant that is left for it, and what would help. */
  #whyNot({ op, domain }: OnnxNode, input: number): string {
    const { bits } = this.#options;
    if (op !== "Conv" || domain !== "" || input !== 1) return op;
    return `Conv, which has ${bits} bits from opset ${channelsFrom[bits]} on, and the file ${this.#scan.opsets[""]}`;
  }

  /** The messages of what constants become, and the nodes that read them. */
  async *#constants(
    plans: readonly Plan[],
    onTensor: OnnxCompressOptions["onTensor"],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    for (const [done, plan] of plans.entries()) {
      signal?.throwIfAborted();
      const { tensor } = plan;
      const values = floatsOf(await bytesOfTensor(this.#scan, tensor), tensor);
      const entry = {
        name: tensor.name,
        shape: tensor.shape,
        before: values.length * (tensor.type === "FLOAT" ? 4 : 2),
      };
      let [after, error] = [0, 0];
      const sides = [...new Set(plan.uses.map(({ side }) => (side === "table" ? "rows" : side)))];
      for (const side of sides) {
        const q = this.#quantized(values, tensor, side);
        error = Math.max(error, relativeError(values, q, side === "columns"));
        const made = new Set<string>();
        for (const use of plan.uses.filter((own) => (own.side === "table" ? "rows" : own.side) === side))
          for (const constant of this.#replace(tensor, q, use).map((own) => this.#halved(own))) {
            if (made.has(constant.name)) continue;
            made.add(constant.name);
            after += constant.bytes.length;
            yield new ProtoWriter().message(5, tensorMessage(constant)).finish();
          }
      }
      const operators = [...new Set(plan.uses.map(({ node }) => this.#scan.nodes[node].op))].join(", ");
      this.#result.changed.push({ ...entry, operators, after, error });
      onTensor?.(tensor.name, done + 1, plans.length);
    }
  }

  #quantized(values: Float32Array, { shape }: FoundTensor, side: Side): Quantized {
    const { bits, group, scheme = "affine" } = this.#options;
    if (side === "channels")
      return quantize(values, {
        bits,
        scheme: "symmetric",
        shape: [shape[0], elements(shape.slice(1))],
        axis: 0,
        scaleType: "float16",
      });
    const own = side === "columns" ? [shape[1], shape[0]] : [...shape];
    const rows = side === "columns" ? transposed(values, shape[0], shape[1]) : values;
    return quantize(rows, { bits, scheme, shape: own, axis: 0, group, scaleType: "float16" });
  }

  /** Puts what reads a quantized matrix in place of what read the constant; returns the constants that this needs. */
  #replace(tensor: FoundTensor, q: Quantized, { node, input, side }: Use): OnnxTensor[] {
    const { layout } = this.#options;
    const name = tensor.name;
    const scales = tensor.type as "FLOAT" | "FLOAT16";
    const own = this.#nodes[node]!;
    if (side === "channels" || layout === "dequantize") {
      const across = side === "columns";
      const output = `${name}/${across ? "columns" : "rows"}`;
      const made =
        side === "channels"
          ? dequantizeChannels(name, q, tensor.shape, { output, scales })
          : dequantizeBlocks(output, q, { turned: across, output, scales });
      // The first node that reads it: the file's nodes are in the order in which they compute.
      if (!this.#made.has(output)) this.#add(this.#before, node, made.node);
      this.#made.add(output);
      this.#nodes[node] = { ...own, inputs: own.inputs.map((value, i) => (i === input ? output : value)) };
      return made.tensors;
    }
    this.#own = true;
    if (side === "table") {
      const made = gatherBlocks(`${name}/table`, q, own.inputs[1], { output: own.outputs[0], scales });
      this.#nodes[node] = made.node;
      return made.tensors;
    }
    // A transposed matrix is read by the products behind the Transpose.
    const products = own.op === "Transpose" ? this.#readersOf(own.outputs[0]) : [node];
    let tensors: OnnxTensor[] = [];
    for (const at of products) {
      const reader = this.#nodes[at]!;
      const bias = reader.op === "Gemm" ? reader.inputs[2] : undefined;
      const output = bias ? `${reader.outputs[0]}/product` : reader.outputs[0];
      const made = matMulNBits(`${name}/${side}`, q, reader.inputs[0], { output, scales });
      tensors = made.tensors;
      this.#nodes[at] = made.node;
      if (bias)
        this.#add(this.#after, at, {
          op: "Add",
          domain: "",
          name: `${output}/bias`,
          inputs: [output, bias],
          outputs: [reader.outputs[0]],
          attributes: {},
        });
    }
    return tensors;
  }

  /** Scales take two bytes: engines make floats of them when they load the file. */
  #halved(constant: OnnxTensor): OnnxTensor {
    if (constant.type !== "FLOAT" || !constant.name.endsWith("/scales")) return constant;
    const name = `${constant.name}/half`;
    if (!this.#made.has(name)) {
      this.#casts.push({
        op: "Cast",
        domain: "",
        name: `${constant.name}/floats`,
        inputs: [name],
        outputs: [constant.name],
        attributes: { to: 1 },
      });
      this.#made.add(name);
    }
    const bytes = new Uint8Array(toHalves(new Float32Array(constant.bytes.slice().buffer)).buffer);
    return { ...constant, name, type: "FLOAT16", bytes };
  }

  #readersOf(value: string): number[] {
    return this.#scan.nodes.flatMap(({ inputs }, at) => (inputs.includes(value) ? [at] : []));
  }

  #add(where: Map<number, OnnxNode[]>, at: number, node: OnnxNode): void {
    where.set(at, [...(where.get(at) ?? []), node]);
  }

  /** Transposes of constants that are gone have nothing to read, and nothing reads them. */
  #dropTransposes(): void {
    if (this.#options.layout !== "matmulnbits") return;
    const read = new Set(this.#nodes.flatMap((node) => node?.inputs ?? []));
    for (const [at, node] of this.#nodes.entries())
      if (node?.op === "Transpose" && !read.has(node.outputs[0]) && this.#wasMatrix(node))
        this.#nodes[at] = undefined;
  }

  #wasMatrix({ inputs }: OnnxNode): boolean {
    return this.#result.changed.some(({ name }) => name === inputs[0]);
  }

  /** The file's bytes, in their order. */
  async *#file(packed: OpenFile, gone: ReadonlySet<string>): AsyncGenerator<Uint8Array> {
    const scan = this.#scan;
    const nodes = new ProtoWriter();
    for (const cast of this.#casts) nodes.message(1, nodeMessage(cast));
    for (const [at, node] of this.#nodes.entries()) {
      // A node that is as it was is copied: its attributes may be of kinds that are not read here.
      for (const own of [
        ...(this.#before.get(at) ?? []),
        ...(node ? [node] : []),
        ...(this.#after.get(at) ?? []),
      ])
        if (own === scan.nodes[at])
          nodes.bytes(1, await scan.file.read(scan.nodes[at].message.from, scan.nodes[at].message.length));
        else nodes.message(1, nodeMessage(own));
    }
    const nodeBytes = nodes.finish();
    const inputs = scan.inputs.filter(({ name }) => !gone.has(name));
    const spans: Span[] = [...scan.rest, ...inputs.map(({ span }) => span)];
    const kept = scan.tensors.filter(({ name, node }) => node === undefined && !gone.has(name));
    const heads = new Map(kept.map((tensor) => [tensor, headOf(tensor)]));
    let length = nodeBytes.length + packed.size + spans.reduce((sum, span) => sum + span.length, 0);
    for (const [tensor, head] of heads) length += head.length + bodyOf(tensor).length;
    const around = scan.around.reduce((sum, span) => sum + span.length, 0);
    if (length + around >= 2 ** 31)
      throw new RangeError(
        `the file would have ${length + around} bytes, one .onnx file can have 2 GB: fewer bits are needed`,
      );
    for (const span of scan.around) yield scan.file.read(span.from, span.length);
    if (this.#own && scan.opsets["com.microsoft"] === undefined)
      yield new ProtoWriter().message(8, new ProtoWriter().text(1, "com.microsoft").integer(2, 1)).finish();
    yield new ProtoWriter().start(7, length).finish();
    yield nodeBytes;
    for (const span of spans) yield scan.file.read(span.from, span.length);
    for (const [tensor, head] of heads) {
      this.#options.signal?.throwIfAborted();
      yield head;
      if (tensor.bytes?.file !== undefined) yield bytesOfTensor(scan, tensor);
      else yield* inChunks(scan.file, bodyOf(tensor));
    }
    yield* inChunks(packed, { from: 0, length: packed.size });
  }
}

/** What goes before a kept constant's bytes: the key, and its message but for the bytes where these lie elsewhere. */
function headOf({ name, type, shape, message, bytes }: FoundTensor): Uint8Array {
  if (bytes?.file === undefined) return new ProtoWriter().start(5, message.length).finish();
  const own = tensorMessage({ name, type, shape, bytes: new Uint8Array(0) }, bytes.length).finish();
  return new ProtoWriter()
    .start(5, own.length + bytes.length)
    .raw(own)
    .finish();
}

const bodyOf = ({ message, bytes }: FoundTensor): Span => (bytes?.file === undefined ? message : bytes);

async function* inChunks(file: OpenFile, { from, length }: Span): AsyncGenerator<Uint8Array> {
  const most = 1 << 24;
  for (let at = 0; at < length; at += most) yield file.read(from + at, Math.min(most, length - at));
}

function floatsOf(bytes: Uint8Array, { type }: FoundTensor): Float32Array {
  const own = bytes.slice().buffer;
  if (type === "FLOAT16") return fromHalves(new Uint16Array(own));
  return type === "BFLOAT16" ? fromBfloats(new Uint16Array(own)) : new Float32Array(own);
}

/** ‖W − Ŵ‖ / ‖W‖. */
function relativeError(values: Float32Array, q: Quantized, columns: boolean): number {
  const found = dequantize(q);
  const [outputs, inputs] = q.shape;
  let [error, size] = [0, 0];
  for (let o = 0, at = 0; o < outputs; o++)
    for (let i = 0; i < inputs; i++, at++) {
      const value = values[columns ? i * outputs + o : at];
      error += (value - found[at]) ** 2;
      size += value ** 2;
    }
  return size === 0 ? 0 : Math.sqrt(error / size);
}
