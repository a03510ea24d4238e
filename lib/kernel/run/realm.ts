// The language's own objects, which cells share with the kernel: what a cell has taken away from them is put back, for
// without it no later cell would be answered. (What is replaced by another function stays: that may be meant.)

interface Kept {
  holder: object;
  key: PropertyKey;
  descriptor: PropertyDescriptor;
  name: string;
}

// Nothing below may lean on what may be gone by then.
const { defineProperty, getOwnPropertyDescriptor } = Object;
const { ownKeys, deleteProperty } = Reflect;
const objects = Object.prototype;
const realm = globalThis;

const iterator = (iterable: Iterable<unknown>) => Object.getPrototypeOf(iterable[Symbol.iterator]());

/** Where the language's functions stand, by the names that a person knows. */
const holders: Record<string, object> = {
  globalThis,
  "Array iterator": iterator([]),
  "Map iterator": iterator(new Map()),
  "Set iterator": iterator(new Set()),
  "String iterator": iterator(""),
  "RegExp iterator": iterator("a".matchAll(/a/g)),
};
const named =
  "Object Function Array String Number Boolean BigInt Symbol Promise Map Set WeakMap WeakSet RegExp Error".split(
    " ",
  );
for (const name of [...named, "TypeError", "Date", "JSON", "Reflect", "Math", "Atomics"]) {
  const value = (globalThis as Record<string, unknown>)[name] as { prototype?: object };
  holders[name] = value;
  if (value.prototype) holders[`${name}.prototype`] = value.prototype;
}

const kept: Kept[] = [];
for (const [place, holder] of Object.entries(holders)) {
  for (const key of ownKeys(holder)) {
    const descriptor = getOwnPropertyDescriptor(holder, key)!;
    if (!descriptor.configurable || typeof descriptor.value !== "function") continue;
    const at = typeof key === "symbol" ? `[${String(key).slice(7, -1)}]` : `.${key}`;
    kept.push({ holder, key, descriptor, name: holder === globalThis ? String(key) : `${place}${at}` });
  }
}
const globals = globalThis as unknown as Record<string, unknown>;
for (const key of ["JSON", "Reflect", "Math", "Atomics", "process", "Buffer"]) {
  // (Some are accessors, which would give back what the cell has set.)
  const descriptor = { value: globals[key], writable: true, enumerable: false, configurable: true };
  kept.push({ holder: globalThis, key, descriptor, name: key });
}

/** Puts back what is missing; the names of what was, or undefined where all is there. */
export function repairRealm(): string | undefined {
  let names: string | undefined;
  for (let i = 0; i < kept.length; i++) {
    const { holder, key, descriptor, name } = kept[i];
    const value = (holder as Record<PropertyKey, unknown>)[key];
    if (typeof value === "function" || (typeof value === "object" && value !== null && holder === realm))
      continue;
    const now = getOwnPropertyDescriptor(holder, key);
    if (now && !now.configurable && !now.writable) continue;
    try {
      defineProperty(holder, key, descriptor);
    } catch {
      continue; // It was frozen so.
    }
    names = names === undefined ? name : `${names}, ${name}`;
  }
  // A promise for any object at all would wait for it.
  if (getOwnPropertyDescriptor(objects, "then") && deleteProperty(objects, "then"))
    names = names === undefined ? "Object.prototype.then" : `${names}, Object.prototype.then`;
  return names;
}
