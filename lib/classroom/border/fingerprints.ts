// Whether names have the same values in two kernels that ran the teacher's own notebook: each value as a short text that is
// the same for the same value.
import { createHash } from "node:crypto";
import { display } from "../../util/display.ts";
import { writeModel, writeTensor } from "./networks.ts";
import { BorderError, fieldsOf, type WireList, type Writer, writeValue } from "./values.ts";

/** The MIME type of fingerprints, as a kernel hands them to the grader. */
export const fingerprintsMime = "application/vnd.slimlab.fingerprints+json";

const writer: Writer = {
  // What a function mentions are names in their turn.
  functionOf: (fn) => ["function", String(fn)],
  instanceOf(value): WireList {
    const known = writeModel(value) ?? writeTensor(value);
    if (known) return known;
    const of = value.constructor;
    // Private fields cannot be seen, so nobody knows whether they are the same.
    if (/#\w|\bWeakMap\b/.test(String(of))) throw new BorderError(`${of.name} has private fields`);
    return ["instance", String(of?.name), fieldsOf(value, writer, 2)];
  },
};

/** Fingerprints of the values that can be compared; the rest has none. */
export function fingerprints(names: Record<string, () => unknown>): object {
  const found: Record<string, string> = {};
  for (const [name, get] of Object.entries(names)) {
    try {
      found[name] = createHash("sha256")
        .update(JSON.stringify(writeValue(get(), writer)))
        .digest("hex");
    } catch {
      // Not there, or nothing that can be written down.
    }
  }
  return { [display]: () => ({ [fingerprintsMime]: found, "text/plain": "compared" }) };
}
