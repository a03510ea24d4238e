// What TypeScript knows of the language and an older Node has not yet: the release that brought it, as tried on Node 20, 22,
// 24 and 26. Names that a reader's own objects may well have, `map` for one, are left out.

const globals: [release: number, names: string][] = [
  [22, "Iterator WebSocket navigator"],
  [24, "Float16Array URLPattern DisposableStack AsyncDisposableStack SuppressedError"],
  [26, "Temporal"],
];

const members: [release: number, of: string, names: string][] = [
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
];

const methods: [release: number, of: string, names: string][] = [
  [22, "a Set", "union intersection difference symmetricDifference isSubsetOf isSupersetOf isDisjointFrom"],
  [22, "an iterator", "take drop toArray"],
  [22, "an ArrayBuffer", "transfer transferToFixedLength"],
  [24, "a DataView", "getFloat16 setFloat16"],
  [26, "a Map", "getOrInsert getOrInsertComputed"],
  [26, "a Uint8Array", "toBase64 toHex setFromBase64 setFromHex"],
];

const has = (names: string, name: string) => names.split(" ").includes(name);

/** Why an error's message may speak of what is there: this Node is too old for it. */
export function newerThan(version: string | undefined, message: string): string | undefined {
  if (version === undefined) return undefined;
  const name = /^(\w+) is not defined$/.exec(message)?.[1];
  const call = /(?:^|[^\w.])(\w+)?[^\s]*?\.(\w+) is not a function\b/.exec(message);
  const [what, release] =
    (name !== undefined &&
      found(
        name,
        globals.find(([, names]) => has(names, name)),
      )) ||
    (call && ofCall(call[1], call[2])) ||
    [];
  if (what === undefined || release === undefined || Number(version.split(".")[0]) >= release)
    return undefined;
  return `${what} is there from Node ${release} on; this is Node ${version}`;
}

function found(what: string, entry: readonly [release: number, ...rest: string[]] | undefined) {
  return entry && ([what, entry[0]] as const);
}

function ofCall(owner: string | undefined, name: string) {
  const own = members.find(([, of, names]) => of === owner && has(names, name));
  if (own) return found(`${owner}.${name}`, own);
  const method = methods.find(([, , names]) => has(names, name));
  return found(`${method?.[1]}'s .${name}()`, method);
}
