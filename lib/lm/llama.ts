// §4.4: a language model of the Llama family as data: its sizes, and its tensors, which are asked for one by one, so that a
// model of billions of parameters needs the memory of one layer.
//
// Tensors have the names and layouts of GGUF (llama.cpp): matrices [outputs, inputs], row-major; the rows of attn_q and attn_k
// are such that rotary positions turn neighbours (2i, 2i + 1).
import { type GgufFile, type GgufValue, openGguf } from "../formats/index.ts";
import { shown } from "../util/check.ts";

/** The sizes of a model. */
export interface LlamaConfig {
  /** Number of blocks of attention and feed-forward. */
  layers: number;
  /** Numbers that stand for one token between blocks. */
  width: number;
  /** Width inside a feed-forward part. */
  hidden: number;
  heads: number;
  /** Heads of keys and values; each serves `heads / kvHeads` heads of queries (grouped-query attention). */
  kvHeads: number;
  vocabulary: number;
  /** Tokens that the model was trained to look back. */
  context: number;
  /** What is added to the mean square before RMS normalisation divides by its root. */
  epsilon: number;
  /** Base of the wavelengths of rotary positions. */
  ropeBase: number;
  /** Whether the last product is with the embedding table, so that no matrix of its own is stored for it. */
  tied: boolean;
}

/** The matrices of a block, in the order in which they are used. */
export const blockMatrices = [
  "attn_q",
  "attn_k",
  "attn_v",
  "attn_output",
  "ffn_gate",
  "ffn_up",
  "ffn_down",
] as const;
export type BlockMatrix = (typeof blockMatrices)[number];

/** What precedes a block's two halves: gains of the RMS normalisations. */
export const blockNorms = ["attn_norm", "ffn_norm"] as const;
export type BlockNorm = (typeof blockNorms)[number];

/** A model: sizes, and tensors on request. */
export interface LlamaModel {
  config: LlamaConfig;
  /**
   * The numbers of a tensor, row-major.
   * @throws RangeError for a name that is not there
   */
  tensor(name: string): Promise<Float32Array>;
}

/** The name of a block's tensor: `blk.0.attn_q.weight`. */
export function tensorName(layer: number, part: BlockMatrix | BlockNorm): string {
  return `blk.${layer}.${part}.weight`;
}

/** Outputs and inputs of a block's matrix. */
export function matrixShape(
  { width, hidden, heads, kvHeads }: LlamaConfig,
  part: BlockMatrix,
): [outputs: number, inputs: number] {
  const kv = (width / heads) * kvHeads;
  switch (part) {
    case "attn_q":
    case "attn_output":
      return [width, width];
    case "attn_k":
    case "attn_v":
      return [kv, width];
    case "ffn_gate":
    case "ffn_up":
      return [hidden, width];
    case "ffn_down":
      return [width, hidden];
  }
}

/** Every tensor of a model, by name, in the order of a GGUF file. */
export function llamaShapes(config: LlamaConfig): Map<string, number[]> {
  const { layers, width, vocabulary, tied } = config;
  const shapes = new Map<string, number[]>([["token_embd.weight", [vocabulary, width]]]);
  for (let layer = 0; layer < layers; layer++) {
    for (const norm of blockNorms) shapes.set(tensorName(layer, norm), [width]);
    for (const part of blockMatrices) shapes.set(tensorName(layer, part), matrixShape(config, part));
  }
  shapes.set("output_norm.weight", [width]);
  if (!tied) shapes.set("output.weight", [vocabulary, width]);
  return shapes;
}

/** A model that was opened from a file, and the file, whose metadata has the tokenizer. */
export interface OpenLlama extends LlamaModel {
  file: GgufFile;
  close(): Promise<void>;
}

/**
 * Opens a GGUF file as a language model. Its tensors are read when they are asked for.
 *
 * @throws RangeError for an architecture other than llama, sizes that are missing or do not fit, and tensors that are missing,
 *   of other shapes, or not of this architecture: all of them by name
 */
export async function openLlama(path: string): Promise<OpenLlama> {
  const file = await openGguf(path);
  try {
    return llamaOf(file, path);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** {@link openLlama} for a file that is open already. */
export function llamaOf(file: GgufFile, path = "the GGUF file"): OpenLlama {
  const config = configOf(file, path);
  const shapes = llamaShapes(config);
  const wrong = [...shapes].flatMap(([name, shape]) => {
    const own = file.tensors.get(name)?.shape;
    if (own && String(own) === String(shape)) return [];
    return [`${name} must be [${shape}], ${own ? `is [${own}]` : "is missing"}`];
  });
  // A bias or a router that the forward pass leaves out would change every answer without a word.
  const unknown = [...file.tensors.keys()].filter(
    (name) => !shapes.has(name) && name !== "rope_freqs.weight",
  );
  if (file.tensors.has("rope_freqs.weight"))
    wrong.push("rope_freqs.weight (scaled positions) is not supported");
  if (unknown.length > 0) wrong.push(`of no known use: ${unknown.slice(0, 8).join(", ")}`);
  if (wrong.length > 0) throw new RangeError(`${path}: ${wrong.slice(0, 8).join("; ")}`);
  return { config, file, tensor: (name) => file.floats(name), close: () => file.close() };
}

function configOf({ metadata, tensors }: GgufFile, path: string): LlamaConfig {
  const architecture = metadata.get("general.architecture");
  if (architecture?.type !== "string" || architecture.value !== "llama")
    throw new RangeError(
      `${path} must be of architecture llama, got ${shown(architecture?.type === "string" ? architecture.value : undefined)}`,
    );
  const number = (key: string, fallback?: number): number => {
    const entry = metadata.get(`llama.${key}`);
    const value = entry && entry.type !== "array" ? Number(entry.value) : fallback;
    if (value === undefined || !(value > 0))
      throw new RangeError(`${path} must have a number above 0 as llama.${key}, got ${shown(value)}`);
    return value;
  };
  const whole = (key: string, fallback?: number): number => {
    const value = number(key, fallback);
    if (!Number.isInteger(value) || value > 2 ** 24)
      throw new RangeError(`${path} must have a whole number as llama.${key}, got ${value}`);
    return value;
  };
  const heads = whole("attention.head_count");
  const config: LlamaConfig = {
    layers: whole("block_count"),
    width: whole("embedding_length"),
    hidden: whole("feed_forward_length"),
    heads,
    kvHeads: whole("attention.head_count_kv", heads),
    vocabulary: tensors.get("token_embd.weight")?.shape[0] ?? whole("vocab_size"),
    context: whole("context_length", 2048),
    epsilon: number("attention.layer_norm_rms_epsilon"),
    ropeBase: number("rope.freq_base", 10000),
    tied: !tensors.has("output.weight"),
  };
  checkConfig(config, path);
  const rope = whole("rope.dimension_count", config.width / heads);
  if (rope !== config.width / heads)
    throw new RangeError(
      `${path}: positions turn ${rope} of ${config.width / heads} numbers, all are supported`,
    );
  if (metadata.has("llama.rope.scaling.type"))
    throw new RangeError(`${path}: llama.rope.scaling.type (scaled positions) is not supported`);
  return config;
}

/** Throws a RangeError for sizes that do not go together. */
export function checkConfig({ width, heads, kvHeads }: LlamaConfig, what = "config"): void {
  if (width % heads !== 0 || (width / heads) % 2 !== 0)
    throw new RangeError(`${what}: width must be a multiple of twice the heads, got ${width} and ${heads}`);
  if (heads % kvHeads !== 0)
    throw new RangeError(`${what}: heads must be a multiple of kvHeads, got ${heads} and ${kvHeads}`);
}

/** Sizes as the metadata of a GGUF file. */
export function llamaMetadata(config: LlamaConfig, name: string): Map<string, GgufValue> {
  const u32 = (value: number): GgufValue => ({ type: "uint32", value });
  const f32 = (value: number): GgufValue => ({ type: "float32", value });
  return new Map<string, GgufValue>([
    ["general.architecture", { type: "string", value: "llama" }],
    ["general.name", { type: "string", value: name }],
    ["llama.block_count", u32(config.layers)],
    ["llama.context_length", u32(config.context)],
    ["llama.embedding_length", u32(config.width)],
    ["llama.feed_forward_length", u32(config.hidden)],
    ["llama.attention.head_count", u32(config.heads)],
    ["llama.attention.head_count_kv", u32(config.kvHeads)],
    ["llama.attention.layer_norm_rms_epsilon", f32(config.epsilon)],
    ["llama.rope.freq_base", f32(config.ropeBase)],
    ["llama.rope.dimension_count", u32(config.width / config.heads)],
    ["llama.vocab_size", u32(config.vocabulary)],
  ]);
}

/** A model with some tensors replaced: what a technique gives back. */
export function withTensors(model: LlamaModel, changed: ReadonlyMap<string, Float32Array>): LlamaModel {
  return { config: model.config, tensor: async (name) => changed.get(name) ?? model.tensor(name) };
}
