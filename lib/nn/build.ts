// A model from its parts as files hold them. TensorFlow.js builds a model with random weights before it compares shapes,
// and keeps them when it then refuses: a broken file would take memory each time it is tried. Here sizes are compared
// first, and what a refused model has made is given back.
import { findKind, kindNameOf, type NodeView } from "../graph/index.ts";
import { shown } from "../util/check.ts";
import { camelCase, variablesFromNow } from "./graph.ts";
import { tf } from "./tf.ts";

/** What {@link buildModel} is given: a topology as TensorFlow.js writes it, its weights' names and shapes, and their bytes. */
export interface ModelParts {
  modelTopology: object;
  weightSpecs: tf.io.WeightsManifestEntry[];
  weightData: ArrayBuffer;
}

/**
 * Builds a model that runs.
 *
 * @param name what error messages call its file
 * @throws Error for weights that are not those of the topology; nothing of the model is kept then
 */
export async function buildModel(parts: ModelParts, name: string): Promise<tf.LayersModel> {
  checkSizes(parts, name);
  const { modelTopology, weightSpecs, weightData } = parts;
  let giveBack = () => {};
  let weights: tf.NamedTensorMap = {};
  try {
    const load = async () => {
      // Here and not before: another model may be on its way.
      giveBack = variablesFromNow();
      return { modelTopology };
    };
    const model = await tf.loadLayersModel({ load });
    weights = tf.io.decodeWeights(weightData, weightSpecs);
    // What an optimizer has kept of its training is no weight of the model.
    const own = weightSpecs.filter(({ group }) => group !== "optimizer").map((spec) => spec.name);
    model.loadWeights(Object.fromEntries(own.map((weight) => [weight, weights[weight]])));
    return model;
  } catch (error) {
    giveBack();
    if (error instanceof WebAssembly.RuntimeError)
      throw new Error(`${name} needs more memory than the WASM backend has`, { cause: error });
    throw new Error(`${name} is no model that TensorFlow.js can build: ${brief(error)}`, { cause: error });
  } finally {
    tf.dispose(weights);
  }
}

/** The first line of what TensorFlow.js says, which may hold the whole topology. */
function brief(error: unknown): string {
  const [line] = String((error as Error)?.message ?? error).split("\n");
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}

interface LayerEntry {
  class_name?: unknown;
  config?: Record<string, unknown>;
}

/** Compares what each layer says of its size with its weights. */
function checkSizes({ modelTopology, weightSpecs }: ModelParts, name: string): void {
  const specs = new Map(weightSpecs.map((spec) => [spec.name, spec]));
  for (const { class_name, config = {} } of layersIn(modelTopology)) {
    const kind = findKind(kindNameOf(String(class_name)) ?? "");
    const size = [config.units, config.filters, config.output_dim].find((value) => value !== undefined);
    if (!kind || size === undefined || typeof config.name !== "string") continue;
    for (const role of ["kernel", "depthwise_kernel", "pointwise_kernel", "embeddings"]) {
      const spec = specs.get(`${config.name}/${role}`);
      if (!spec) continue;
      const weights = { [camelCase(role)]: spec.shape };
      const view: NodeView = { name: config.name, kind: "", attributes: {}, inputs: [], output: [], weights };
      const axis = kind.weight(view, camelCase(role))?.axes.indexOf("out") ?? -1;
      if (axis >= 0 && spec.shape[axis] !== size)
        throw new Error(
          `${name} has weights ${shown(spec.name)} of ${spec.shape.join(" x ")}, but ${config.name} has ${shown(size)} outputs`,
        );
    }
    const own = weightSpecs.some((spec) => spec.name.includes(`${config.name}/`));
    if (!own) throw new Error(`${name} has no weights for ${config.name}`);
  }
}

/** The entries of all layers in a topology, nested models' among them. */
function layersIn(topology: unknown): LayerEntry[] {
  if (typeof topology !== "object" || topology === null) return [];
  const { model_config, config, layers } = topology as Record<string, unknown>;
  const inner = [model_config, config].flatMap((part) =>
    Array.isArray(part) ? part.flatMap(layersIn) : layersIn(part),
  );
  const listed = Array.isArray(layers) ? layers.flatMap(layersIn) : [];
  // Only what stands in a list of layers is one; a wrapped layer keeps its weights elsewhere.
  const self = "class_name" in topology && !listed.length && !inner.length ? [topology as LayerEntry] : [];
  return [...self, ...inner, ...listed];
}
