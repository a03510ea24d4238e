// Interfaces of the language itself, to which a cell may add as a script may: `interface Array<T> { last(): T }`.
import type { Of } from "./tree.ts";

/** Those that classes and programs extend, with the number of their type parameters. */
const parameters: Record<string, number> = {
  Array: 1,
  ReadonlyArray: 1,
  Promise: 1,
  Map: 2,
  Set: 1,
  WeakMap: 2,
  WeakSet: 1,
  Iterator: 3,
  String: 0,
  Number: 0,
  Boolean: 0,
  BigInt: 0,
  Symbol: 0,
  Date: 0,
  RegExp: 0,
  Error: 0,
  Function: 0,
  Object: 0,
  Math: 0,
  JSON: 0,
};

/**
 * Whether an interface adds to one of the language's. A cell may mean one of its own by the same name (`interface Date {
 * day: number }`): it adds where it has the same type parameters, and if there are none, where the cell gives the thing
 * itself what the interface says.
 */
export function addsToLanguage(node: Of<"TSInterfaceDeclaration">, source: string): boolean {
  const { name } = node.id;
  if (/^[A-Z]\w*Constructor$/.test(name))
    return Object.hasOwn(parameters, name.slice(0, -"Constructor".length));
  if (!Object.hasOwn(parameters, name)) return false;
  const count = node.typeParameters?.params.length ?? 0;
  if (count !== parameters[name]) return false;
  return (
    count > 0 || new RegExp(`\\b${name}\\.(prototype\\b|\\w+\\s*=[^=])|\\(\\s*${name}\\s*,`).test(source)
  );
}
