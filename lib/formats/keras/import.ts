// Keras's models as networks of layers: .keras archives and .h5 files, of Keras 2 and 3, Sequential and functional.
import { shown } from "../../util/check.ts";
import { reading } from "../error.ts";
import { checkNamed, type ImportedNetwork, inOrder, NetworkBuilder, readAll } from "../import/builder.ts";
import { simplified } from "../import/simplify.ts";
import { openKeras } from "./archive.ts";
import { callsOf, type LayerCall } from "./calls.ts";
import { layerReaders } from "./layers.ts";
import { LayerReading } from "./reading.ts";
import { checkEntry, Settings, said } from "./settings.ts";
import { weightsOf } from "./weights.ts";

export interface KerasImportOptions {
  /** What error messages call the file. */
  file?: string;
  /** Sizes of inputs that the file leaves open, by name, the batch left out: [224, 224, 3]. */
  inputShapes?: Record<string, readonly number[]>;
}

/**
 * Makes a network of a `.keras` or `.h5` file, as `model.save` writes it. HDF5 is read by h5wasm, an optional peer.
 *
 * @throws FormatError that names all layers which are not known here, sizes that are open, or what is damaged; Error where
 * h5wasm is not installed
 */
export async function importKeras(
  bytes: Uint8Array,
  options: KerasImportOptions = {},
): Promise<ImportedNetwork> {
  const { file = "the file", inputShapes = {} } = options;
  const opened = await openKeras(bytes, file);
  return reading(file, () => {
    const network = checkEntry(opened.config, "the network");
    const { calls, outputs } = callsOf(network);
    const weights = weightsOf(opened, network);
    const version = Number.parseInt(opened.version, 10) || 3;
    const inputs = calls.filter(({ op }) => op === "InputLayer");
    checkNamed(
      inputShapes,
      inputs.map(({ name }) => name),
    );
    const b = new NetworkBuilder(file);
    const values = new Map<string, string>();
    const added = new Map<string, string[]>();
    const read = (call: LayerCall): string => {
      if (call.op === "InputLayer") return b.input(call.name, inputShape(call, inputShapes));
      noteType(call, b);
      const way = call.path.join("\n");
      const own = new LayerReading(
        b,
        call,
        call.inputs.map((key) => values.get(key)!),
        weights(call.path),
        version,
      );
      const once = b.calling(added.get(way) ?? [], () => layerReaders[call.op](own));
      own.done();
      if (!added.has(way)) added.set(way, once.added);
      return once.result;
    };
    readAll(
      file,
      inOrder(calls),
      ({ op }) => op === "InputLayer" || Object.hasOwn(layerReaders, op),
      (call) => values.set(call.outputs[0], read(call)),
    );
    const { graph, notes } = b.finish(
      String(network.config.name ?? ""),
      outputs.map((key) => {
        const value = values.get(key);
        if (value === undefined) throw new RangeError(`output ${shown(key)} is not there`);
        return value;
      }),
    );
    return { graph: simplified(graph), notes };
  });
}

/** The layers that become layers here, by their classes. */
export const kerasReadable: readonly string[] = Object.keys(layerReaders);

function inputShape(
  { name, shape: given }: LayerCall,
  inputShapes: Record<string, readonly number[]>,
): number[] {
  const list = Array.isArray(given) && Array.isArray(given[0]) ? given[0] : given;
  if (!Array.isArray(list) || list.length < 2)
    throw new RangeError(`an input of shape ${said(given)} is not supported: a batch of values is`);
  const own = list.slice(1);
  const fits = (n: unknown) => Number.isSafeInteger(n) && Number(n) > 0;
  if (!own.every((n) => n === null || fits(n)))
    throw new RangeError(`an input of shape ${said(given)} is not supported`);
  const wished = Object.hasOwn(inputShapes, name) ? inputShapes[name] : undefined;
  if (wished && (wished.length !== own.length || own.some((n, axis) => n !== null && n !== wished[axis])))
    throw new RangeError(`sizes ${wished.join("x")} for an input of shape ${said(given)}`);
  const shape = wished ?? own;
  if (!shape.every(fits))
    throw new RangeError(
      `sizes of ${shown(name)} are open, ${said(own)}: say them (--input ${name}=${own.map((n) => n ?? 32).join("x")}, inputShapes)`,
    );
  return [...shape];
}

/** Says where a network computes in other numbers than here; refuses kernels that are kept in integers. */
function noteType({ entry, name }: LayerCall, b: NetworkBuilder): void {
  const policy = JSON.stringify(new Settings(entry.config).raw("dtype") ?? "float32");
  if (policy.includes("Quantized") || policy.includes("int8") || policy.includes("int4"))
    throw new RangeError(`${shown(name)} has kernels in integers: save the model before quantize()`);
  if (/float16/.test(policy)) b.notes.add("what was computed in 16 bits is computed in 32 here");
}
