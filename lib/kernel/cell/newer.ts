// What TypeScript knows of the language and an older Node has not yet: the release that brought it, as tried on Node 20, 22,
// 24 and 26. Names that a reader's own objects may well have, `map` for one, are left out.

/** Of what the names are: of nothing where they are global, of an object (`Object`), or of whatever is like it (`a Set`). */
const newer: readonly [release: number, of: string, names: string][] = [
  [22, "", "Iterator WebSocket navigator"],
  [24, "", "Float16Array URLPattern DisposableStack AsyncDisposableStack SuppressedError"],
  [26, "", "Temporal"],
  [22, "Object", "groupBy"],
  [22, "Map", "groupBy"],
  [22, "Array", "fromAsync"],
  [22, "Promise", "withResolvers"],
  [24, "Promise", "try"],
  [24, "RegExp", "escape"],
  [24, "Error", "isError"],
  [24, "Math", "f16round"],
  [22, "Iterator", "from"],
  [26, "Iterator", "concat"],
  [26, "Uint8Array", "fromBase64 fromHex"],
  [22, "a Set", "union intersection difference symmetricDifference isSubsetOf isSupersetOf isDisjointFrom"],
  [22, "an iterator", "take drop toArray"],
  [22, "an ArrayBuffer", "transfer transferToFixedLength"],
  [24, "a DataView", "getFloat16 setFloat16"],
  [26, "a Map", "getOrInsert getOrInsertComputed"],
  [26, "a Uint8Array", "toBase64 toHex setFromBase64 setFromHex"],
];

const isAny = (of: string) => /^an? /.test(of);

/** The release that brought a name, and what it is; `isOwner` says of what it may be. */
function brought(
  name: string,
  isOwner: (of: string) => boolean,
): { what: string; release: number } | undefined {
  const entry = newer.find(([, of, names]) => isOwner(of) && names.split(" ").includes(name));
  if (!entry) return undefined;
  const [release, of] = entry;
  if (of === "") return { what: name, release };
  return { what: isAny(of) ? `${of}'s .${name}()` : `${of}.${name}`, release };
}

/** Why an error's message may speak of what is there: this Node is too old for it. */
export function newerThan(version: string | undefined, message: string): string | undefined {
  if (version === undefined) return undefined;
  const name = /^(\w+) is not defined$/.exec(message)?.[1];
  const [, owner, method] = /(?:^|[^\w.])(\w+)?[^\s]*?\.(\w+) is not a function\b/.exec(message) ?? [];
  const found =
    name !== undefined
      ? brought(name, (of) => of === "")
      : method !== undefined
        ? (brought(method, (of) => of === owner) ?? brought(method, isAny))
        : undefined;
  if (!found || Number(version.split(".")[0]) >= found.release) return undefined;
  return `${found.what} is there from Node ${found.release} on; this is Node ${version}`;
}
