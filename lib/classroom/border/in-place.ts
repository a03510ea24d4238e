// Functions that change what they are given: a check that calls one for that alone, `prune(weights);`, sees the change, as it
// would in the notebook. Wherever a result is used, arguments are copies, so that no student alters what a check compares with.
import { eachChild, type Node } from "../../kernel/cell/tree.ts";
import { statementsOf } from "../code.ts";

/** Code of a check in which each call of a student's function whose result nobody uses calls `through(function)` instead. */
export function withInPlaceCalls(source: string, given: string[], through: string): string {
  const places: { start: number; end: number }[] = [];
  const walk = (node: Node): void => {
    if (node.type === "ExpressionStatement") {
      const { expression } = node;
      const call = expression.type === "AwaitExpression" ? expression.argument : expression;
      if (
        call.type === "CallExpression" &&
        call.callee.type === "Identifier" &&
        given.includes(call.callee.name)
      ) {
        places.push({ start: call.callee.start, end: call.callee.end });
      }
    }
    eachChild(node, walk);
  };
  for (const { node } of statementsOf(source) ?? []) walk(node);
  let text = source;
  for (const { start, end } of places.sort((a, b) => b.start - a.start)) {
    text = `${text.slice(0, start)}${through}(${text.slice(start, end)})${text.slice(end)}`;
  }
  return text;
}

/** Gives `target`, and what is within it, the content of `source`, which has come from the other side. */
export function assignInto(target: unknown, source: unknown): void {
  if (Array.isArray(target) && Array.isArray(source)) {
    target.length = source.length;
    for (const [i, value] of source.entries()) target[i] = merged(target[i], value);
  } else if (ArrayBuffer.isView(target) && ArrayBuffer.isView(source)) {
    if (target.byteLength === source.byteLength) bytesOf(target).set(bytesOf(source));
  } else if (target instanceof Map && source instanceof Map) {
    const before = new Map(target);
    target.clear();
    for (const [key, value] of source) target.set(key, merged(before.get(key), value));
  } else if (target instanceof Set && source instanceof Set) {
    target.clear();
    for (const value of source) target.add(value);
  } else if (isPlain(target) && isPlain(source)) {
    for (const key of Object.keys(target)) if (!Object.hasOwn(source, key)) delete target[key];
    for (const [key, value] of Object.entries(source)) {
      const made = merged(Object.hasOwn(target, key) ? target[key] : undefined, value);
      Object.defineProperty(target, key, {
        value: made,
        writable: true,
        enumerable: true,
        configurable: true,
      });
    }
  }
}

/** What stands in the place of `before`: itself with new content, so that others who hold it see that, or what came. */
function merged(before: unknown, value: unknown): unknown {
  const isSame =
    typeof before === "object" &&
    before !== null &&
    typeof value === "object" &&
    value !== null &&
    Object.getPrototypeOf(before) === Object.getPrototypeOf(value) &&
    (!ArrayBuffer.isView(before) || before.byteLength === (value as ArrayBufferView).byteLength);
  if (!isSame) return value;
  assignInto(before, value);
  return before;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  new Uint8Array(buffer, byteOffset, byteLength);

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
