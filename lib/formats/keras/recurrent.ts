// Keras's recurrent layers, and the one that reads both ways.
import type { Constant } from "../import/builder.ts";
import { cellActivation, type LayerReading } from "./reading.ts";
import { checkEntry, isEntry, Settings } from "./settings.ts";

const kinds: Record<string, { kind: string; gates: number } | undefined> = {
  LSTM: { kind: "lstm", gates: 4 },
  GRU: { kind: "gru", gates: 3 },
  SimpleRNN: { kind: "simpleRNN", gates: 1 },
};

/** What TensorFlow.js must know of a recurrent layer, and its weights in the file's order. */
function partsOf(r: LayerReading, className: string, settings: Settings) {
  const { kind, gates } = kinds[className]!;
  settings.only({ stateful: false, return_state: false, time_major: false });
  const resetAfter = className === "GRU" && settings.flag("reset_after", r.version >= 2);
  const units = settings.whole("units");
  const [, features] = r.shape;
  if (r.shape.length !== 2) throw new RangeError(`its input must be steps x features, got [${r.shape}]`);
  const attributes = {
    units,
    activation: cellActivation(settings, "activation", "tanh", r.version),
    ...(gates > 1
      ? { recurrentActivation: cellActivation(settings, "recurrent_activation", "sigmoid", r.version) }
      : {}),
    ...(resetAfter ? { resetAfter } : {}),
    useBias: settings.flag("use_bias", true),
    returnSequences: settings.flag("return_sequences", false),
    goBackwards: settings.flag("go_backwards", false),
  };
  const weights = (): Record<string, Constant> => ({
    kernel: r.weight("kernel", [features, gates * units]),
    recurrentKernel: r.weight("recurrent_kernel", [units, gates * units]),
    ...(attributes.useBias
      ? { bias: r.weight("bias", resetAfter ? [2, gates * units] : [gates * units]) }
      : {}),
  });
  return { kind, attributes, weights };
}

export function recurrent(r: LayerReading): string {
  const { kind, attributes, weights } = partsOf(r, r.call.op, r.settings);
  return r.add(kind, attributes, weights());
}

export function bidirectional(r: LayerReading): string {
  const inner = checkEntry(r.settings.raw("layer"), "layer");
  if (!kinds[inner.class_name]) throw new RangeError(`a layer ${inner.class_name} inside is not supported`);
  const settings = new Settings(inner.config);
  const { attributes, weights } = partsOf(r, inner.class_name, settings);
  const given = r.settings.raw("backward_layer");
  if (isEntry(given)) {
    const back = checkEntry(given, "backward_layer");
    const other = partsOf(r, back.class_name, new Settings(back.config));
    const expected = { ...attributes, goBackwards: !attributes.goBackwards };
    if (JSON.stringify(other.attributes) !== JSON.stringify(expected))
      throw new RangeError("a backward_layer that is otherwise than its layer is not supported");
  }
  if (attributes.goBackwards) throw new RangeError("go_backwards inside is not supported");
  const mergeMode = r.settings.text("merge_mode", "none");
  if (!["concat", "sum", "mul", "ave"].includes(mergeMode))
    throw new RangeError(`merge_mode ${mergeMode} is not supported`);
  const both = { forward: weights(), backward: weights() };
  return r.add(
    "bidirectional",
    { mergeMode, layer: { className: inner.class_name, config: { ...attributes, name: "cell" } } },
    Object.fromEntries(
      Object.entries(both).flatMap(([side, own]) =>
        Object.entries(own).map(([role, w]) => [`${side}/${role}`, w]),
      ),
    ),
  );
}
