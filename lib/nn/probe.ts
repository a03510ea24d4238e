// Looking into a model while it runs: what goes into a layer, what comes out, and the loss's gradient at that place.
// A probe is a tensor of zeros added to a layer's output, so the gradient with regard to it is the one wanted, in any
// graph of layers and without building a second model.

import { tf } from "./tf.ts";

type Layer = tf.layers.Layer;

interface Activated {
  activation?: { apply(x: tf.Tensor): tf.Tensor; getClassName(): string };
}

/** Called as a layer has run; its tensors are gone soon after, so take from them what is needed. */
export type Watch = (name: string, input: tf.Tensor, output: tf.Tensor) => void;

/**
 * Changes what a layer puts out. The states of a recurrent layer, which come behind its output, stay.
 *
 * @returns what undoes it
 */
export function changeOutput(
  layer: Layer,
  change: (output: tf.Tensor, inputs: tf.Tensor[]) => tf.Tensor,
): () => void {
  const { call } = layer;
  const own = Object.hasOwn(layer, "call");
  layer.call = (inputs, options) => {
    const result = call.call(layer, inputs, options);
    const [output, ...states] = [result].flat();
    const changed = change(output, [inputs].flat());
    return Array.isArray(result) ? [changed, ...states] : changed;
  };
  return () => {
    if (own) layer.call = call;
    else delete (layer as Partial<Layer>).call;
  };
}

/**
 * Runs `forward` with each of `layers`, by name, telling `watch` what it sees, and with `probes[name]`, where given, added to it.
 *
 * @param place where probes are added: `output` is after the layer's activation, `linear` before it, where the kernel's
 *   own product comes out. What `watch` sees is always the layer's output.
 */
export function withProbes<T>(
  layers: Map<string, Layer>,
  place: "output" | "linear",
  probes: Record<string, tf.Tensor>,
  watch: Watch,
  forward: () => T,
): T {
  const undo: (() => void)[] = [];
  try {
    for (const [name, layer] of layers) {
      const add = (x: tf.Tensor) => (probes[name] ? tf.add(x, probes[name]) : x);
      undo.push(
        changeOutput(layer, (output, [input]) => {
          const probed = place === "output" ? add(output) : output;
          watch(name, input, probed);
          return probed;
        }),
      );
      const activated = layer as unknown as Activated;
      const { activation } = activated;
      if (place === "output" || !activation) continue;
      // A class name that is no fused activation makes the layer apply this after its product and bias.
      activated.activation = {
        getClassName: () => "probe",
        apply: (x) => (activation.getClassName() === "linear" ? add(x) : activation.apply(add(x))),
      };
      undo.push(() => {
        activated.activation = activation;
      });
    }
    return forward();
  } finally {
    for (const step of undo.reverse()) step();
  }
}
