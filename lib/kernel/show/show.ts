// A value as a MIME bundle: what it says itself, else what it looks like to Node's inspect.
import { inspect, isProxy, stripVTControlCharacters, toBase64 } from "#platform";
import { display, type MimeBundle } from "../../util/display.ts";
import { tableBundle } from "./tables.ts";

/** Characters of text/plain that a notebook gets from one value; a cell never becomes 10 MB of text. */
const textLimit = 20_000;

/** A value as text, without colours, and never too long. */
export function plainText(value: unknown): string {
  let text: string;
  try {
    text = inspect(elided(value), {
      depth: 4,
      colors: false,
      maxArrayLength: 100,
      maxStringLength: 10_000,
      breakLength: 80,
      numericSeparator: false,
    });
  } catch (error) {
    text = `[a value that cannot be shown: ${error instanceof Error ? error.message : String(error)}]`;
  }
  // A value's own inspect method may colour what it returns.
  if (text.includes("\u001b")) text = stripVTControlCharacters(text);
  if (text.length <= textLimit) return text;
  return `${text.slice(0, textLimit)}\n… ${text.length - textLimit} more characters`;
}

/** Inspect shortens arrays, Maps and Sets, and not objects: one with a million names is shortened here. */
function elided(value: unknown): unknown {
  if (typeof value !== "object" || value === null || isProxy(value)) return value;
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  const keys = Object.keys(value);
  if (keys.length <= mostKeys) return value;
  const part = Object.create(prototype);
  for (const key of keys.slice(0, mostKeys)) {
    Object.defineProperty(part, key, Object.getOwnPropertyDescriptor(value, key)!);
  }
  part[`… ${keys.length - mostKeys} more`] = new Ellipsis();
  return part;
}

const mostKeys = 200;

class Ellipsis {
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "…";
  }
}

const signatures: [mime: string, bytes: number[], at?: number][] = [
  ["image/png", [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
  ["image/jpeg", [0xff, 0xd8, 0xff]],
  ["image/gif", [0x47, 0x49, 0x46, 0x38]],
  ["image/webp", [0x57, 0x45, 0x42, 0x50], 8],
];

/** The MIME type of an image's bytes, by how they begin. */
export function imageType(bytes: Uint8Array): string | undefined {
  return signatures.find(([, start, at = 0]) => start.every((byte, i) => bytes[at + i] === byte))?.[0];
}

function isBundle(value: unknown): value is MimeBundle {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.keys(value).every((key) => /^[\w.+-]+\/[\w.+-]+/.test(key))
  );
}

/** The bundle that shows a value; a promise only where the value's own method returns one. */
export function bundleOf(value: unknown): MimeBundle | Promise<MimeBundle> {
  if ((typeof value === "object" && value !== null) || typeof value === "function") {
    const own = ownDisplay(value);
    if (own) {
      const bundle = own.call(value);
      if (isPromise(bundle)) return bundle.then((settled) => checked(settled, value));
      return checked(bundle, value);
    }
    if (isBytes(value)) {
      const type = imageType(value);
      if (type) {
        return {
          [type]: toBase64(value),
          "text/plain": `${type}, ${value.length} bytes`,
        };
      }
    }
    const table = tableOf(value);
    if (table) return table;
  }
  return { "text/plain": plainText(value) };
}

// By their tags: values come from other realms, too.
function isPromise(value: unknown): value is Promise<unknown> {
  return value instanceof Promise || Object.prototype.toString.call(value) === "[object Promise]";
}

function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && Object.prototype.toString.call(value) === "[object Uint8Array]";
}

function tableOf(value: object): MimeBundle | undefined {
  try {
    return isProxy(value) ? undefined : tableBundle(value, plainText);
  } catch {
    return undefined; // It only looks like a table.
  }
}

function ownDisplay(value: object): (() => unknown) | undefined {
  try {
    // A proxy may answer any name with a function: only one that says it has this one is asked.
    if (!(display in value)) return undefined;
    const own = (value as Record<symbol, unknown>)[display];
    return typeof own === "function" ? (own as () => unknown) : undefined;
  } catch {
    return undefined; // A proxy that allows no such question.
  }
}

/** Whether a bundle shows something: a value may say of itself that there is nothing to show. */
export function showsNothing(bundle: MimeBundle): boolean {
  return Object.keys(bundle).length === 0;
}

function checked(bundle: unknown, value: unknown): MimeBundle {
  if (bundle === null) return {};
  if (isBundle(bundle) && Object.keys(bundle).length > 0) return portable(bundle);
  const name = (value as { constructor?: { name?: string } }).constructor?.name ?? "a value";
  throw new TypeError(
    `[Symbol.for("Jupyter.display")]() of ${name} must return a MIME bundle such as { "text/plain": "…" }, got ${plainText(bundle).slice(0, 200)}`,
  );
}

/** A bundle as Jupyter's messages carry it: bytes as base64, JSON types as they are, the rest as text. */
export function portable(bundle: MimeBundle): MimeBundle {
  const out: MimeBundle = {};
  for (const [type, content] of Object.entries(bundle)) {
    if (content instanceof Uint8Array) out[type] = toBase64(content);
    else if (/^application\/(.*\+)?json$/.test(type) || typeof content === "string") out[type] = content;
    else out[type] = typeof content === "object" ? content : String(content);
  }
  return out;
}
