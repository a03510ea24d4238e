// Values as V8's inspector tells of them, as a line of text for the debugger's panel.

/** The inspector's `Runtime.RemoteObject`. */
export interface Remote {
  type: string;
  subtype?: string;
  className?: string;
  value?: unknown;
  unserializableValue?: string;
  description?: string;
  objectId?: string;
  preview?: Preview;
}

interface Preview {
  type: string;
  subtype?: string;
  description?: string;
  overflow: boolean;
  properties: { name: string; type: string; subtype?: string; value?: string }[];
  entries?: { key?: Preview; value: Preview }[];
}

const longest = 1000;

function cut(text: string): string {
  return text.length <= longest ? text : `${text.slice(0, longest)}…`;
}

/** One line that says what a value is. */
export function valueText(remote: Remote): string {
  const { type, subtype, value, description = "" } = remote;
  if (type === "string") return cut(JSON.stringify(value));
  if (type === "undefined") return "undefined";
  if (subtype === "null") return "null";
  if (type === "function") {
    const first = description.split("\n")[0];
    if (first.startsWith("class")) return cut(first.replace(/\s*\{.*$/, ""));
    return cut(`ƒ ${first.replace(/^(async )?function\s*/, "$1").replace(/\s*\{.*$/, "")}`);
  }
  if (type !== "object") return remote.unserializableValue ?? description ?? String(value);
  if (remote.preview) return cut(previewText(remote.preview));
  return cut(description.split("\n")[0]);
}

function previewText(preview: Preview): string {
  const { subtype, description = "", properties, entries, overflow } = preview;
  if (preview.type !== "object") return preview.type === "string" ? JSON.stringify(description) : description;
  if (subtype !== undefined && /^(error|date|regexp|null|proxy|promise)$/.test(subtype)) {
    return description.split("\n")[0];
  }
  const more = overflow ? [", …"] : [];
  if (entries) {
    const items = entries.map(
      ({ key, value }) => `${key ? `${previewText(key)} => ` : ""}${previewText(value)}`,
    );
    return `${description} {${items.join(", ")}${more.join("")}}`;
  }
  const isList = subtype === "array" || subtype === "typedarray";
  const items = properties
    .filter(({ name }) => !isList || /^\d+$/.test(name))
    .map(({ name, type, subtype: inner, value = "" }) => {
      const text =
        type === "string"
          ? JSON.stringify(value)
          : type === "function"
            ? "ƒ"
            : inner === "null"
              ? "null"
              : value;
      return isList ? text : `${name}: ${text}`;
    });
  const inside = items.join(", ") + more.join("");
  if (isList) return `${description} [${inside}]`;
  return description === "Object" ? `{${inside}}` : `${description} {${inside}}`;
}

/**
 * Runs on the main thread as the method of an array, a typed array, a Map or a Set: an object with the children from
 * `start` on, and `rest`, how many more there are.
 */
export function objectPart(this: object, start: number, count: number): object {
  const part = Object.create(null);
  let rest = 0;
  if (this instanceof Map || this instanceof Set) {
    let at = 0;
    for (const [key, value] of this.entries()) {
      if (at >= start && at < start + count) {
        if (this instanceof Set) part[at] = value;
        else if (typeof key === "object" || typeof key === "function") part[at] = { key, value };
        else part[String(key)] = value;
      }
      at++;
    }
    rest = at - start - count;
  } else {
    const list = this as ArrayLike<unknown>;
    const end = Math.min(list.length, start + count);
    for (let i = start; i < end; i++) part[i] = list[i];
    rest = list.length - end;
  }
  if (rest > 0) part.rest = rest;
  return part;
}
