// An ONNX file as a network of layers. ONNX has channels first; here a value remembers whether it is held with channels
// last, so that turns at the borders vanish, and what only computes shapes is folded away.
import { reading as readingFrom, refuse } from "../error.ts";
import { checkNamed, type ImportedNetwork, type Operation, readAll } from "../import/builder.ts";
import { simplified } from "../import/simplify.ts";
import { folds } from "./constants.ts";
import { decodeOnnx, type OnnxModel, type OnnxNode } from "./model.ts";
import { readers } from "./operators.ts";
import { Reading } from "./reading.ts";

interface Call extends Operation {
  node: OnnxNode;
}

export interface OnnxImportOptions {
  /** What error messages call the file. */
  file?: string;
  /** Sizes of inputs that the file leaves open, by name, as the file has them, the batch left out: [3, 224, 224]. */
  inputShapes?: Record<string, readonly number[]>;
}

/** The versions of ONNX's operators that are read. */
const opsets = { from: 7, to: 22 };

/**
 * Makes a network of an .onnx file: convolutional networks, whose images it takes with channels last.
 *
 * @throws FormatError that names all operators which no layer is known for, sizes that are open, or what is damaged
 */
export function importOnnx(bytes: Uint8Array, options: OnnxImportOptions = {}): ImportedNetwork {
  const { file = "the file" } = options;
  return onnxNetworkOf(decodeOnnx(bytes, file), options);
}

/** {@link importOnnx} of a file that is decoded. */
export function onnxNetworkOf(model: OnnxModel, options: OnnxImportOptions = {}): ImportedNetwork {
  const { file = "the file" } = options;
  return readingFrom(file, () => networkOf(model, file, options.inputShapes ?? {}));
}

function networkOf(
  model: OnnxModel,
  file: string,
  inputShapes: Record<string, readonly number[]>,
): ImportedNetwork {
  const opset = model.opsets[""] ?? 0;
  if (!(opset >= opsets.from && opset <= opsets.to))
    refuse(file, `is of opset ${opset}; what can be read: ${opsets.from} to ${opsets.to}`);
  const reading = new Reading(file, model, opset, readers);
  checkNamed(
    inputShapes,
    model.inputs.map(({ name }) => name),
  );
  for (const input of model.inputs) reading.input(input, inputShapes[input.name]);
  const calls = model.nodes.map((node): Call => {
    const op = node.domain ? `${node.domain}.${node.op}` : node.op;
    const inputs = node.inputs.filter((name) => name !== "");
    return { node, op, name: node.name || node.outputs[0] || "", inputs, outputs: node.outputs };
  });
  readAll(
    file,
    calls,
    ({ op, node }) => Object.hasOwn(readers, op) || (Object.hasOwn(folds, op) && reading.allKnown(node)),
    ({ node }) => reading.read(node),
  );
  const outputs = model.outputs.map(({ name }) => reading.plain(reading.flow(name)));
  const { graph, notes } = reading.builder.finish(model.name, outputs);
  return { graph: simplified(graph), notes };
}

/** The operators that become layers. */
export const onnxReadable: readonly string[] = Object.keys(readers);
