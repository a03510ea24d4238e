// `slimlab inspect`: what is in a model file, what it costs, and which techniques can do something with it.
import { parseArgs } from "node:util";
import {
  type GgufFile,
  ggufTypes,
  type OnnxModel,
  onnxTypes,
  type SafetensorsFile,
  safetensorsTypes,
} from "../formats/index.ts";
import {
  costOf,
  dependenciesOf,
  findKind,
  type Graph,
  kernelPlaces,
  layerShapesOf,
  viewOf,
} from "../graph/index.ts";
import type { tf } from "../nn/index.ts";
import { elements } from "../util/shape.ts";
import { tableOf } from "../util/table.ts";
import {
  bytesOnDisk,
  inputShapesOf,
  type ModelFile,
  type OpenOptions,
  openModelFile,
  readable,
} from "./files.ts";

const help = `Usage: slimlab inspect [OPTION]... FILE

Shows a model file's layers or tensors, what they cost for one example, and what each technique could work on. It reads
${readable}.

  --input NAME=3x224x224   sizes that an .onnx file leaves open, the batch left out
  --json                   the same as JSON, sizes in bytes`;

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      help: { type: "boolean", short: "h" },
      json: { type: "boolean" },
      input: { type: "string", multiple: true },
    },
  });
  if (values.help || positionals.length !== 1) {
    console.log(help);
    return values.help ? 0 : 2;
  }
  const report = await inspect(positionals[0], { inputShapes: inputShapesOf(values.input) });
  console.log(values.json ? JSON.stringify(report, undefined, 2) : inWords(report));
  return 0;
}

/** A file's parts as rows of a table, and the sums; JSON. */
export interface Inspection {
  file: string;
  format: ModelFile["format"];
  /** Bytes on disk. */
  bytes: number;
  parameters: number;
  /** Multiply-accumulates of one example, and bytes of activations alive at once in float32; of networks that were understood. */
  macs?: number;
  peakActivationBytes?: number;
  rows: Record<string, string | number>[];
  /** What is worth knowing beside the numbers. */
  notes: string[];
}

/** What is in a model file. */
export async function inspect(path: string, options: OpenOptions = {}): Promise<Inspection> {
  const file = await openModelFile(path, options);
  const base = { file: path, format: file.format, bytes: await bytesOnDisk(path) };
  switch (file.format) {
    case "onnx":
      return { ...base, ...(await inspectOnnxFile(file)) };
    case "safetensors":
      return { ...base, ...(await inspectTensors(file.tensors)) };
    case "gguf":
      return { ...base, ...(await inspectGguf(file.gguf)) };
    default:
      return { ...base, ...(await inspectNetwork(file.model, file.notes)) };
  }
}

type Inside = Omit<Inspection, "file" | "format" | "bytes">;

async function inspectNetwork(model: tf.LayersModel, said: string[] = []): Promise<Inside> {
  const { graphOf } = await import("../nn/index.ts");
  const graph = graphOf(model);
  const cost = costOf(graph);
  const shapes = new Map(layerShapesOf(graph).map((shape) => [shape.name, shape.outputShape]));
  const costs = new Map(cost.layers.map((layer) => [layer.name, layer]));
  const { removable, notes } = unitsOf(graph);
  const rows = graph.nodes.map((node) => {
    const { parameters = 0, macs = 0, activationBytes = 0 } = costs.get(node.name) ?? {};
    return {
      layer: node.name,
      kind: node.kind,
      output: (shapes.get(node.name) ?? []).join(" x "),
      parameters,
      MACs: cost.uncounted.includes(node.name) ? "?" : macs,
      "activation bytes": activationBytes,
      techniques: techniquesFor(graph, node, removable).join(", "),
    };
  });
  if (cost.uncounted.length > 0) notes.push(`work not counted of ${cost.uncounted.join(", ")}`);
  return {
    parameters: cost.parameters,
    macs: cost.macs,
    peakActivationBytes: cost.peakActivationBytes,
    rows,
    notes: [...said, ...notes],
  };
}

/** The layers whose units can be taken out, and why there may be none. */
function unitsOf(graph: Graph): { removable: Set<string>; notes: string[] } {
  try {
    const { groups, skipped } = dependenciesOf(graph);
    const notes =
      skipped.length > 0 ? [`of no known kind, so nothing is done with ${skipped.join(", ")}`] : [];
    return { removable: new Set(groups.flatMap(({ layers }) => layers)), notes };
  } catch (error) {
    return { removable: new Set(), notes: [`no units can be taken out: ${(error as Error).message}`] };
  }
}

function techniquesFor(graph: Graph, node: Graph["nodes"][number], removable: Set<string>): string[] {
  if (node.shares !== undefined) return [`as ${node.shares}`];
  const view = viewOf(graph, node);
  if (kernelPlaces(view).length === 0) return [];
  const found = ["prune weights", "quantize", "cluster"];
  if (removable.has(node.name)) found.push("take out units");
  const product = findKind(node.kind)?.product;
  if (product === "matrix" || product === "convolution") found.push("factorize");
  return found;
}

/** Its layers where it is a network of these, and in any case what the file says of itself. */
async function inspectOnnxFile(file: Extract<ModelFile, { format: "onnx" }>): Promise<Inside> {
  const own = inspectOnnx(file.onnx);
  if ("model" in file) return inspectNetwork(file.model, [...own.notes, ...file.notes]);
  return { ...own, notes: [...own.notes, file.why] };
}

function inspectOnnx(model: OnnxModel): Inside {
  // Paddle's converter keeps weights in nodes that give constants.
  const constants = [
    ...model.initializers,
    ...model.nodes.flatMap(({ op, outputs: [name], attributes: { value } }) =>
      op === "Constant" && typeof value === "object" && "bytes" in value ? [{ ...value, name }] : [],
    ),
  ];
  const rows = constants.map(({ name, type, shape, bytes }) => ({
    tensor: name,
    type,
    shape: shape.join(" x "),
    bytes: bytes.length,
  }));
  const counts = new Map<string, number>();
  for (const { op } of model.nodes) counts.set(op, (counts.get(op) ?? 0) + 1);
  const operators = [...counts].sort(([, a], [, b]) => b - a).map(([op, count]) => `${count} ${op}`);
  const sides = (values: OnnxModel["inputs"]) =>
    values
      .map(({ name, type, shape }) => `${name} ${type} [${shape.map((size) => size ?? "?").join(", ")}]`)
      .join(", ");
  const weights = constants.filter(({ type }) => onnxTypes[type].size < 8);
  return {
    parameters: weights.reduce((sum, { shape }) => sum + elements(shape), 0),
    rows,
    notes: [
      `opset ${Object.values(model.opsets).join(", ")}, written by ${model.producer || "an unknown program"}`,
      `in: ${sides(model.inputs)}; out: ${sides(model.outputs)}`,
      `operators: ${operators.join(", ")}`,
    ],
  };
}

async function inspectTensors(file: SafetensorsFile): Promise<Inside> {
  await file.close();
  const tensors = [...file.tensors].map(([tensor, { dtype, shape }]) => ({
    tensor,
    type: dtype,
    shape,
    bytes: elements(shape) * safetensorsTypes[dtype],
  }));
  const notes = Object.entries(file.metadata).map(([key, value]) => `${key}: ${value.slice(0, 200)}`);
  return withoutNetwork(tensors, notes);
}

async function inspectGguf(file: GgufFile): Promise<Inside> {
  await file.close();
  const tensors = [...file.tensors].map(([tensor, { type, shape }]) => ({
    tensor,
    type,
    shape,
    bytes: (elements(shape) / ggufTypes[type].group) * ggufTypes[type].bytes,
  }));
  const notes = [...file.metadata].map(([key, entry]) => {
    const text = entry.type === "array" ? `${entry.values.length} of ${entry.of}` : String(entry.value);
    return `${key}: ${text.length > 120 ? `${text.slice(0, 117)}...` : text}`;
  });
  return withoutNetwork(tensors, notes);
}

/** What there is to say of a file that holds tensors and no network. */
function withoutNetwork(
  tensors: { tensor: string; type: string; shape: readonly number[]; bytes: number }[],
  notes: string[],
): Inside {
  return {
    parameters: tensors.reduce((sum, { shape }) => sum + elements(shape), 0),
    rows: tensors.map((row) => ({ ...row, shape: row.shape.join(" x ") })),
    notes,
  };
}

function inWords(report: Inspection): string {
  const number = (value: number) => value.toLocaleString("en");
  const sums = [
    `${report.file}: ${report.format}, ${number(report.bytes)} bytes, ${number(report.parameters)} parameters`,
    ...(report.macs === undefined
      ? []
      : [
          `${number(report.macs)} MACs, ${number(report.peakActivationBytes!)} bytes of activations at once (float32)`,
        ]),
  ];
  if (report.rows.length === 0) return [...sums, ...report.notes].join("\n");
  const columns = Object.keys(report.rows[0]);
  const rows = report.rows.map((row) =>
    columns.map((name) => (typeof row[name] === "number" ? number(row[name] as number) : String(row[name]))),
  );
  return [...sums, ...report.notes, "", tableOf(columns, rows)["text/plain"]].join("\n");
}
