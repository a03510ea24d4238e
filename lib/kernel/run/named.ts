// What cells' functions and constants need at run time to be what they look like: see cell/declarations.ts.
import {
  asWritten,
  constantName,
  functionsName,
  liveName,
  thrownName,
  variablesName,
} from "../cell/words.ts";
import { noteThrown } from "./errors.ts";

/** Gives cells what their JavaScript names. */
export function provideNamed(define: (name: string, value: unknown) => void): void {
  define(functionsName, remember);
  define(constantName, constant);
  define(thrownName, noteThrown);
  define(variablesName, provideVariables);
  define(liveName, Object.create(unknownModules));
}

// A cell's function is an expression without a name (so that it finds the newest one of its own name), and its source's
// text would not declare anything: whoever sends it to a worker as text, as Node's own examples do, needs the name in it.
const functions = new WeakSet<object>();
const sourceOf = Function.prototype.toString;

function remember(...cellFunctions: unknown[]): void {
  for (const each of cellFunctions) if (typeof each === "function") functions.add(each);
}

const patched = {
  toString(this: object): string {
    const text = asWritten(sourceOf.call(this));
    if (this === patched) return sourceOf.call(sourceOf);
    if (!functions.has(this)) return text;
    const { name } = this as { name?: unknown };
    const start = /^(?:async\s+)?function\s*\*?/.exec(text)?.[0];
    return start && typeof name === "string"
      ? `${start.trimEnd()} ${name}${text.slice(start.length).trimStart()}`
      : text;
  },
}.toString;
Object.defineProperty(Function.prototype, "toString", { value: patched, writable: true, configurable: true });

/** To set any property of it is to assign to a constant. */
const constant = new Proxy(Object.create(null), {
  set() {
    throw new TypeError("Assignment to constant variable.");
  },
});

/** Where an import has failed, its name stands for nothing. */
const unknownModules = new Proxy(Object.create(null), {
  get(_, name) {
    throw new ReferenceError(`${String(name).replace("\u200d", "")} is not defined`);
  },
});

/** `var x` and `function f` are properties of the global object as well, as in every script. */
function provideVariables(accessors: object): void {
  for (const [name, accessor] of Object.entries(Object.getOwnPropertyDescriptors(accessors)))
    Object.defineProperty(globalThis, name, accessor);
}
