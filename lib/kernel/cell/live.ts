// Code of names that are properties: what an import is now, and what a script's `var`s and functions are to the global object.
import { identifier, liveName, resultName, variablesName } from "./words.ts";

/** The newest value of an import. (A name that is none is written as a property all the same.) */
export function newestOf(name: string, exported: string): string {
  return `${liveName}.${name}${identifier.test(exported) ? `.${exported}` : `[${JSON.stringify(exported)}]`}`;
}

/** A property that is what `value` is, and sets it, or what `target` has under its name. */
export function accessorOf(name: string, value: string, target?: string): string {
  const set = target === undefined ? value : `${target}.${name}`;
  return `get ${name}() { return ${value}; }, set ${name}(${resultName}) { ${set} = ${resultName}; }`;
}

/** Makes properties of the global object of accessors. */
export function provided(accessors: string[]): string {
  return accessors.length > 0 ? `globalThis.${variablesName}?.({ ${accessors.join(", ")} });` : "";
}
