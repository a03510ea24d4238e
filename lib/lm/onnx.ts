// §4.4: a language model as an ONNX graph, for onnxruntime: token numbers in, logits out, or how much each next token loses.
// The graph reads whole texts; it keeps no keys and values from call to call, so it is for measuring, not for chatting
// (llama.cpp runs GGUF files for that).
import {
  encodeOnnx,
  type LoadedInEngine,
  matMulNBits,
  type OnnxAttribute,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  openInEngine,
} from "../formats/index.ts";
import type { Quantized } from "../quantization/index.ts";
import { checkOneOf } from "../util/check.ts";
import { type BlockMatrix, type LlamaModel, matrixShape, tensorName } from "./llama.ts";
import { type Perplexity, perplexityFrom } from "./perplexity.ts";

/** What an ONNX file gives out: logits [batch, length, vocabulary], or losses [batch, length − 1] of the next tokens in nats. */
export const llamaOutputs = ["logits", "losses"] as const;
export type LlamaOutput = (typeof llamaOutputs)[number];

/** Options of {@link llamaOnnx}. */
export interface LlamaOnnxOptions {
  /** Matrices that are quantized, by tensor name, as `quantizeLlama` gives them: they become MatMulNBits, with 4 or 8 bits. */
  quantized?: ReadonlyMap<string, Quantized>;
  /** Default `logits`. */
  output?: LlamaOutput;
}

/**
 * A language model as an ONNX model, whose weights are all in memory.
 *
 * @throws RangeError for quantized matrices that MatMulNBits does not take: other bits than 4 and 8, or groups that are no
 *   power of two from 16 on
 */
export async function llamaOnnx(
  model: LlamaModel,
  { quantized = new Map(), output = "logits" }: LlamaOnnxOptions = {},
): Promise<OnnxModel> {
  checkOneOf("output", output, llamaOutputs);
  const make = new Maker(model, quantized);
  const { layers, vocabulary, width, tied } = model.config;
  const table = make.floats("token_embd", await model.tensor("token_embd.weight"), [vocabulary, width]);
  let h = make.op("Gather", [table, "tokens"]);
  make.positions();
  for (let layer = 0; layer < layers; layer++) {
    const x = await make.norm(tensorName(layer, "attn_norm"), h);
    h = make.op("Add", [h, await make.attention(layer, x)]);
    const y = await make.norm(tensorName(layer, "ffn_norm"), h);
    const gate = await make.product(layer, "ffn_gate", y);
    const up = await make.product(layer, "ffn_up", y);
    const inner = make.op("Mul", [make.op("Mul", [gate, make.op("Sigmoid", [gate])]), up]);
    h = make.op("Add", [h, await make.product(layer, "ffn_down", inner)]);
  }
  const last = await make.norm("output_norm.weight", h);
  const head = tied ? table : make.floats("output", await model.tensor("output.weight"), [vocabulary, width]);
  const logits = make.op("MatMul", [last, make.op("Transpose", [head], { perm: [1, 0] })]);
  return make.model(output === "logits" ? logits : make.losses(logits), output);
}

class Maker {
  readonly #model: LlamaModel;
  readonly #quantized: ReadonlyMap<string, Quantized>;
  readonly #nodes: OnnxNode[] = [];
  readonly #initializers = new Map<string, OnnxTensor>();
  #counter = 0;
  #cos = "";
  #sin = "";
  #mask = "";

  constructor(model: LlamaModel, quantized: ReadonlyMap<string, Quantized>) {
    this.#model = model;
    this.#quantized = quantized;
  }

  op(op: string, inputs: string[], attributes: Record<string, OnnxAttribute> = {}, domain = ""): string {
    const output = `${op}_${this.#counter++}`;
    this.#nodes.push({ op, domain, name: output, inputs, outputs: [output], attributes });
    return output;
  }

  floats(name: string, values: Float32Array, shape: readonly number[]): string {
    const bytes = new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength);
    this.#initializers.set(name, { name, type: "FLOAT", shape, bytes });
    return name;
  }

  number(value: number): string {
    return this.floats(`number_${value}`, Float32Array.of(value), []);
  }

  integers(values: readonly number[]): string {
    const name = `integers_${values.join("_")}`;
    const bytes = new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer);
    this.#initializers.set(name, { name, type: "INT64", shape: [values.length], bytes });
    return name;
  }

  /** Angles of each position, and what keeps a token from looking ahead: once for all blocks. */
  positions(): void {
    const { width, heads, ropeBase } = this.#model.config;
    const size = width / heads;
    const zero = this.op("Squeeze", [this.integers([0]), this.integers([0])]);
    const one = this.op("Squeeze", [this.integers([1]), this.integers([0])]);
    const length = this.op("Gather", [this.op("Shape", ["tokens"]), one]);
    const places = this.op("Cast", [this.op("Range", [zero, length, one])], { to: 1 });
    const column = this.op("Unsqueeze", [places, this.integers([1])]);
    const row = this.op("Unsqueeze", [places, this.integers([0])]);
    const frequencies = Float32Array.from({ length: size / 2 }, (_, i) => ropeBase ** ((-2 * i) / size));
    const angles = this.op("Mul", [column, this.floats("frequencies", frequencies, [1, size / 2])]);
    this.#cos = this.op("Cos", [angles]);
    this.#sin = this.op("Sin", [angles]);
    const ahead = this.op("Cast", [this.op("Greater", [row, column])], { to: 1 });
    this.#mask = this.op("Mul", [ahead, this.number(-1e9)]);
  }

  async norm(name: string, x: string): Promise<string> {
    const { width, epsilon } = this.#model.config;
    const square = this.op("ReduceMean", [this.op("Mul", [x, x])], { axes: [-1], keepdims: 1 });
    const root = this.op("Sqrt", [this.op("Add", [square, this.number(epsilon)])]);
    const gain = this.floats(name, await this.#model.tensor(name), [width]);
    return this.op("Mul", [this.op("Div", [x, root]), gain]);
  }

  async product(layer: number, part: BlockMatrix, x: string): Promise<string> {
    const name = tensorName(layer, part);
    const q = this.#quantized.get(name);
    if (q) {
      const { node, tensors } = matMulNBits(name, q, x);
      for (const tensor of tensors) this.#initializers.set(tensor.name, tensor);
      this.#nodes.push(node);
      return node.outputs[0];
    }
    const [outputs, inputs] = matrixShape(this.#model.config, part);
    const weights = this.floats(name, await this.#model.tensor(name), [outputs, inputs]);
    return this.op("MatMul", [x, this.op("Transpose", [weights], { perm: [1, 0] })]);
  }

  async attention(layer: number, x: string): Promise<string> {
    const { width, heads, kvHeads } = this.#model.config;
    const size = width / heads;
    const shared = heads / kvHeads;
    // [batch, heads of keys, queries of each, length, size]: keys and values are the same for all queries of a group.
    const split = async (part: BlockMatrix, groups: number) => {
      const shape = this.integers([0, 0, kvHeads, groups, size]);
      const parts = this.op("Reshape", [await this.product(layer, part, x), shape]);
      return this.op("Transpose", [parts], { perm: [0, 2, 3, 1, 4] });
    };
    const q = this.#rotate(await split("attn_q", shared));
    const k = this.#rotate(await split("attn_k", 1));
    const v = await split("attn_v", 1);
    const products = this.op("MatMul", [q, this.op("Transpose", [k], { perm: [0, 1, 2, 4, 3] })]);
    const scores = this.op("Mul", [products, this.number(Math.fround(1 / Math.sqrt(size)))]);
    const shares = this.op("Softmax", [this.op("Add", [scores, this.#mask])], { axis: -1 });
    const turned = this.op("Transpose", [this.op("MatMul", [shares, v])], { perm: [0, 3, 1, 2, 4] });
    return this.product(layer, "attn_output", this.op("Reshape", [turned, this.integers([0, 0, width])]));
  }

  /** Pairs of neighbours turned by their position. */
  #rotate(x: string): string {
    const pair = this.integers([-1]);
    const all = (step: number) =>
      this.op("Slice", [x, this.integers([step]), this.integers([2 ** 31]), pair, this.integers([2])]);
    const [a, b] = [all(0), all(1)];
    const mul = (left: string, right: string) => this.op("Mul", [left, right]);
    const first = this.op("Sub", [mul(a, this.#cos), mul(b, this.#sin)]);
    const second = this.op("Add", [mul(a, this.#sin), mul(b, this.#cos)]);
    const wide = (part: string) => this.op("Unsqueeze", [part, pair]);
    const both = this.op("Concat", [wide(first), wide(second)], { axis: -1 });
    const { width, heads } = this.#model.config;
    return this.op("Reshape", [both, this.integers([0, 0, 0, 0, width / heads])]);
  }

  /** −ln p of each next token. */
  losses(logits: string): string {
    const slice = (value: string, from: number, to: number) =>
      this.op("Slice", [value, this.integers([from]), this.integers([to]), this.integers([1])]);
    const likely = this.op("LogSoftmax", [slice(logits, 0, -1)], { axis: -1 });
    const next = this.op("Unsqueeze", [slice("tokens", 1, 2 ** 31), this.integers([-1])]);
    const own = this.op("GatherElements", [likely, next], { axis: -1 });
    return this.op("Neg", [this.op("Squeeze", [own, this.integers([-1])])]);
  }

  model(result: string, output: LlamaOutput): OnnxModel {
    this.#nodes.push({
      op: "Identity",
      domain: "",
      name: output,
      inputs: [result],
      outputs: [output],
      attributes: {},
    });
    const shape = output === "logits" ? ["N", "length", this.#model.config.vocabulary] : ["N", "guesses"];
    const own = this.#nodes.some(({ domain }) => domain !== "");
    return {
      irVersion: 8,
      producer: "slimlab",
      opsets: { "": 17, ...(own ? { "com.microsoft": 1 } : {}) },
      name: "llama",
      nodes: this.#nodes,
      initializers: [...this.#initializers.values()],
      inputs: [{ name: "tokens", type: "INT64", shape: ["N", "length"] }],
      outputs: [{ name: output, type: "FLOAT", shape }],
    };
  }
}

/**
 * Perplexity of texts by onnxruntime, an optional peer: the same numbers as `perplexityOf`, several times as fast. The whole
 * model lies in memory twice while it is loaded.
 *
 * @throws MissingEngineError without onnxruntime-node
 */
export async function perplexityInEngine(
  model: LlamaModel,
  texts: readonly Uint32Array[],
  {
    quantized,
    signal,
    onText,
  }: {
    quantized?: ReadonlyMap<string, Quantized>;
    signal?: AbortSignal;
    onText?: (done: number, texts: number) => void;
  } = {},
): Promise<Perplexity> {
  const engine: LoadedInEngine = await openInEngine(
    encodeOnnx(await llamaOnnx(model, { quantized, output: "losses" })),
  );
  try {
    const losses: number[] = [];
    for (const text of texts) {
      signal?.throwIfAborted();
      const [{ values }] = await engine.run([{ shape: [1, text.length], values: Float32Array.from(text) }]);
      losses.push(values.reduce((sum, value) => sum + value, 0) / values.length);
      onText?.(losses.length, texts.length);
    }
    return perplexityFrom(losses, texts[0].length - 1);
  } finally {
    await engine.close();
  }
}
