// Names that cells' JavaScript uses and the kernel defines, and how to tell of them in the cells' own words.
import { literally } from "../../util/pattern.ts";
import { goName } from "../../util/turn.ts";

/** A name, which can stand in code as it is. */
export const identifier = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;

/** Names of the functions that cells' rewritten imports call; the kernel defines them as globals. */
export const importFunction = "__slimlab_import";
export const metaName = "__slimlab_meta";
/** Takes functions that have lost their name in their source's text: see run/named.ts. */
export const functionsName = "__slimlab_functions";
/** Takes what reads and sets `var`s and functions, which are properties of the global object: see run/named.ts. */
export const variablesName = "__slimlab_variables";
/** Notes where a value is thrown that is no error, and so does not say it itself: see run/errors.ts. */
export const thrownName = "__slimlab_thrown";
/** An object whose every property refuses to be set, as a constant does. */
export const constantName = "__slimlab_constant";
/** Holds, by their names in cells, the modules whose exports those names are: see `live` in code.ts. */
export const liveName = "__slimlab_live";
/** What stands around a value that is thrown; a function's text may be sent where the kernel's names are missing. */
export const thrownMarks = [
  `(globalThis.${thrownName} ?? ((value) => value))(`,
  `/* ${thrownName} */)`,
] as const;

/** A function's text as its writer wrote it, as far as the kernel's names go. */
export function asWritten(text: string): string {
  if (!text.includes("__slimlab_")) return text;
  return inCellsWords(text)
    .replaceAll(thrown, "$1")
    .replaceAll(`globalThis.${goName}?.();`, "")
    .replaceAll(`${constantName}.`, "")
    .replaceAll(importFunction, "import")
    .replaceAll(metaName, "import.meta");
}

const thrown = new RegExp(thrownMarks.map(literally).join("([\\s\\S]*?)"), "g");

/** A message of V8's that names imports as cells' JavaScript does, in the cell's own words. */
export function inCellsWords(message: string): string {
  return message.includes(liveName) ? message.replaceAll(imported, "$1") : message;
}

const imported = new RegExp(
  String.raw`\b${liveName}\.([\p{ID_Continue}$]+)\u200d?(?:\.[\p{ID_Continue}$]+|\["[^"]*"\]|\[\.\.\.\])`,
  "gu",
);

/** Around a cell's result where a compiler follows, which would leave out what it can compute itself. */
export const resultMark = "__slimlab_result";
/** Holds the value of a cell that is the body of a function. */
export const resultName = "__slimlab_value";

/** What sets a name of the whole cell from a block that has the same name. */
export function setterOf(name: string): string {
  return `__slimlab_set_${name}`;
}
