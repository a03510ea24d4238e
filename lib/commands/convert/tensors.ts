// `slimlab convert` tensor by tensor: of networks, and between .safetensors and .gguf files of any size.

import {
  type GgufTensor,
  type GgufType,
  type GgufValue,
  ggufTypes,
  ggufWritable,
  type SafetensorsTensor,
  type SafetensorsType,
  safetensorsTypes,
  writeGguf,
  writeSafetensors,
} from "../../formats/index.ts";
import type { Graph } from "../../graph/index.ts";
import { progress } from "../../util/progress.ts";
import type { ModelFile } from "../files.ts";

const dtypes: Record<string, SafetensorsTensor["dtype"]> = {
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
};

/** A network's weights as tensors of a .safetensors file, named by layer and role. */
export function tensorsOf(graph: Graph, weights: string): Record<string, SafetensorsTensor> {
  const own = graph.nodes.filter(({ shares }) => shares === undefined);
  const entries = own.flatMap(({ name, weights: all }) =>
    Object.entries(all).map(([role, { shape, values }]): [string, SafetensorsTensor] => [
      `${name}/${role}`,
      { dtype: dtypes[weights], shape, values: () => values! },
    ]),
  );
  return Object.fromEntries(entries);
}

/** Tensors of either format. `float` says whether a tensor's numbers can be had as floats without loss of meaning. */
interface Source {
  tensors: Map<string, { shape: readonly number[]; type: string; float: boolean }>;
  metadata: ReadonlyMap<string, GgufValue>;
  bytes(name: string): Promise<Uint8Array>;
  floats(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

/** The tensors of an opened file. */
export function sourceOf(file: Extract<ModelFile, { format: "safetensors" | "gguf" }>): Source {
  if (file.format === "safetensors") {
    const { tensors, metadata } = file.tensors;
    const float = new Set<string>(["F64", "F32", "F16", "BF16"]);
    return {
      tensors: new Map(
        [...tensors].map(([name, { dtype, shape }]) => [
          name,
          { shape, type: dtype, float: float.has(dtype) },
        ]),
      ),
      metadata: new Map(Object.entries(metadata).map(([key, value]) => [key, { type: "string", value }])),
      bytes: (name) => file.tensors.bytes(name),
      floats: (name) => file.tensors.floats(name),
      close: () => file.tensors.close(),
    };
  }
  const { tensors, metadata } = file.gguf;
  const float = new Set<string>(ggufWritable);
  return {
    tensors: new Map(
      [...tensors].map(([name, { type, shape }]) => [name, { shape, type, float: float.has(type) }]),
    ),
    metadata,
    bytes: (name) => file.gguf.bytes(name),
    floats: (name) => file.gguf.floats(name),
    close: () => file.gguf.close(),
  };
}

export async function tensorsIntoSafetensors(source: Source, to: string, weights: string): Promise<string> {
  const kept: string[] = [];
  const entries = [...source.tensors].map(([name, { type, shape, float }]): [string, SafetensorsTensor] => {
    if (float) return [name, { dtype: dtypes[weights], shape, values: () => source.floats(name) }];
    if (!Object.hasOwn(safetensorsTypes, type))
      throw new Error(`tensor ${name} of type ${type} cannot be read as floats`);
    kept.push(name);
    return [name, { dtype: type as SafetensorsType, shape, values: () => source.bytes(name) }];
  });
  const texts = [...source.metadata].flatMap(([key, entry]) =>
    entry.type === "string" ? [[key, String(entry.value)]] : [],
  );
  const bar = progress("tensors", entries.length || 1);
  try {
    await writeSafetensors(to, Object.fromEntries(entries), {
      metadata: Object.fromEntries(texts),
      onTensor: (name, done) => bar.update(done, name),
    });
  } finally {
    bar.end();
  }
  return kept.length > 0 ? `${kept.length} tensors of whole numbers as they were` : "";
}

export async function tensorsIntoGguf(source: Source, to: string, weights: GgufType): Promise<string> {
  const { group } = ggufTypes[weights];
  const floats: string[] = [];
  const kept: string[] = [];
  const tensors = new Map<string, GgufTensor>();
  for (const [name, { type, shape, float }] of source.tensors) {
    if (!float) {
      if (!Object.hasOwn(ggufTypes, type))
        throw new Error(`tensor ${name} of type ${type} has no place in a .gguf file`);
      kept.push(name);
      tensors.set(name, { type: type as GgufType, shape, values: () => source.bytes(name) });
      continue;
    }
    // Vectors are small and matter much; rows that are no whole groups cannot be packed.
    const fits = shape.length >= 2 && shape.at(-1)! % group === 0;
    if (!fits && shape.length >= 2) floats.push(name);
    const own = fits ? weights : "F32";
    // What is of this type already is copied: packing it anew could round once more.
    const values = own === type ? () => source.bytes(name) : () => source.floats(name);
    tensors.set(name, { type: own, shape, values });
  }
  const metadata = new Map(source.metadata);
  if (!metadata.has("general.architecture"))
    metadata.set("general.architecture", { type: "string", value: "unknown" });
  const bar = progress("tensors", tensors.size || 1);
  try {
    await writeGguf(to, metadata, tensors, { onTensor: (name, done) => bar.update(done, name) });
  } finally {
    bar.end();
  }
  return [
    ...(floats.length > 0 ? [`rows of ${floats.join(", ")} are no multiple of ${group}: F32`] : []),
    ...(kept.length > 0 ? [`as they were: ${kept.join(", ")}`] : []),
    ...(source.metadata.has("general.architecture")
      ? []
      : ["no architecture is known, so llama.cpp cannot run it"]),
  ].join("; ");
}
