// Pasted data: long lists and objects of numbers, strings and the like. They take no parser, and a syntax tree of them would
// hold up the kernel for seconds; so a cell is read as if they were empty, and their text stays as it is.
import { contains, type Node } from "./tree.ts";

/** Shorter cells are read as they are, and shorter pieces of data in longer ones. */
const leastSource = 20_000;
const leastData = 5000;
/** What is nested deeper is read as it is. */
const deepest = 200;

export interface Blanked {
  /** The source with white space inside the brackets of its data: every place, and every line, stays where it is. */
  text: string;
  /** Where the data stands, with its brackets. */
  ranges: [start: number, end: number][];
}

let last: { source: string; blanked: Blanked } | undefined;

/** A source without its data. What looks like data inside of a string or a comment is blanked as well: see `isRight`. */
export function withoutData(source: string): Blanked {
  if (source.length < leastSource) return { text: source, ranges: [] };
  if (last?.source !== source) last = { source, blanked: blank(source) };
  return last.blanked;
}

/** Whether a syntax tree has a list or an object wherever data was taken for one. */
export function isRight({ ranges }: Blanked, body: Node[]): boolean {
  const missing = new Set(ranges.map(([start, end]) => `${start}-${end}`));
  const find = (node: Node): boolean => {
    if (node.type === "ArrayExpression" || node.type === "ObjectExpression")
      missing.delete(`${node.start}-${node.end}`);
    return missing.size === 0;
  };
  return missing.size === 0 || body.some((each) => contains(each, find));
}

function blank(source: string): Blanked {
  const ranges: Blanked["ranges"] = [];
  let text = "";
  let copied = 0;
  // What fails late is looked at again from further inside, but not without end.
  let budget = source.length * 4;
  const opening = /(?:^|[=([,:]|\breturn|\bdefault)\s*(?=[[{])/g;
  while (budget > 0 && opening.exec(source)) {
    const start = opening.lastIndex;
    const { end, at } = dataAt(source, start);
    budget -= at - start;
    if (end - start >= leastData) {
      ranges.push([start, end]);
      text += source.slice(copied, start + 1) + spaces(source.slice(start + 1, end - 1));
      copied = end - 1;
      opening.lastIndex = end;
    } else if (end > 0) opening.lastIndex = end;
  }
  return { text: text + source.slice(copied), ranges };
}

function spaces(text: string): string {
  return text
    .split("\n")
    .map((line) => " ".repeat(line.length))
    .join("\n");
}

const code = (sign: string) => sign.charCodeAt(0);
const [openList, closeList, openObject, closeObject] = ["[", "]", "{", "}"].map(code);
const [comma, colon, minus] = [",", ":", "-"].map(code);
const word = /(?:true|false|null|undefined)(?![\w$])/y;
const number =
  /(?:0[xX][\da-fA-F]+|(?:0|[1-9]\d*)(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)(?![\w$.])/y;
const string =
  /"(?:[^"\\\n\r]|\\(?:u[\da-fA-F]{4}|x[\da-fA-F]{2}|[^ux\d\n\r]))*"|'(?:[^'\\\n\r]|\\(?:u[\da-fA-F]{4}|x[\da-fA-F]{2}|[^ux\d\n\r]))*'/y;
const key = /[A-Za-z_$][\w$]*/y;

/** Where data that opens at `start` ends, or -1; and how far it was looked at. */
function dataAt(source: string, start: number): { end: number; at: number } {
  let at = start;
  const open: number[] = [];
  const space = () => {
    for (;;) {
      const c = source.charCodeAt(at);
      if (c !== 32 && c !== 10 && c !== 9) return c;
      at++;
    }
  };
  const take = (pattern: RegExp) => {
    pattern.lastIndex = at;
    if (!pattern.test(source)) return false;
    at = pattern.lastIndex;
    return true;
  };
  const value = (c: number) => {
    if (c === 34 || c === 39) return take(string);
    if (c === minus) at++;
    return take(number) || (c !== minus && take(word));
  };
  for (;;) {
    // A value begins here, or a list or an object ends.
    let c = space();
    const inside = open.at(-1);
    if (c === inside) {
      open.pop();
      at++;
    } else {
      if (inside === closeObject) {
        const from = at;
        if (!(c === 34 || c === 39 ? take(string) : take(key) || take(number))) return { end: -1, at };
        // (A second one would be an error, and the first one is no property.)
        if (source.startsWith("__proto__", from) || source.startsWith("__proto__", from + 1))
          return { end: -1, at };
        if (space() !== colon) return { end: -1, at };
        at++;
        c = space();
      }
      if (c === openList || c === openObject) {
        if (open.length > deepest) return { end: -1, at };
        open.push(c === openList ? closeList : closeObject);
        at++;
        continue;
      }
      if (!value(c)) return { end: -1, at };
    }
    // A value has ended.
    if (open.length === 0) return { end: at, at };
    c = space();
    if (c === comma) at++;
    else if (c !== open.at(-1)) return { end: -1, at };
  }
}

/**
 * A source for a type checker: of data that a variable without a type is given, each list keeps one element of each shape,
 * for its type is no other, and a type that is put together from a hundred thousand takes its time.
 */
export function thinned(source: string): string {
  const { ranges } = withoutData(source);
  let text = "";
  let copied = 0;
  for (const [start, end] of ranges) {
    const isFree = /\b(?:const|let|var)\s+[\p{ID_Start}$_][\p{ID_Continue}$]*\s*=\s*$/u.test(
      source.slice(Math.max(0, start - 200), start),
    );
    if (!isFree || /^\s*(?:as|satisfies)\b/.test(source.slice(end, end + 50))) continue;
    const redundant = new Thinner(source).redundant(start);
    for (const [from, to] of redundant) {
      text += source.slice(copied, from) + spaces(source.slice(from, to));
      copied = to;
    }
  }
  return text + source.slice(copied);
}

/** Goes through data that is known to be data. */
class Thinner {
  readonly #source: string;
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  /** Where elements stand that add nothing to their list's type, with their commas. */
  redundant(start: number): [from: number, to: number][] {
    this.#at = start;
    const found: [number, number][] = [];
    this.#value(found);
    return found;
  }

  /** The shape of the value that begins here; `found` takes what is redundant inside. */
  #value(found: [number, number][]): string {
    const c = this.#next();
    if (c === openList) return this.#list(found);
    if (c === openObject) return this.#object(found);
    if (c === 34 || c === 39) {
      this.#take(string);
      return "s";
    }
    if (c === minus) this.#at++;
    const from = this.#at;
    if (this.#take(number)) return "n";
    this.#take(word);
    return this.#source.startsWith("true", from) || this.#source.startsWith("false", from)
      ? "b"
      : this.#source.slice(from, this.#at);
  }

  #list(found: [number, number][]): string {
    const shapes = new Set<string>();
    this.#at++;
    while (this.#next() !== closeList) {
      const from = this.#at;
      const count = found.length;
      const shape = this.#value(found);
      if (this.#next() === comma) this.#at++;
      if (shapes.has(shape)) {
        found.length = count;
        const before = found.at(-1);
        if (before?.[1] === from) before[1] = this.#at;
        else found.push([from, this.#at]);
      }
      shapes.add(shape);
    }
    this.#at++;
    return `[${[...shapes].sort().join("|")}]`;
  }

  #object(found: [number, number][]): string {
    const properties: string[] = [];
    this.#at++;
    for (let c = this.#next(); c !== closeObject; c = this.#next()) {
      const from = this.#at;
      if (c === 34 || c === 39) this.#take(string);
      else if (!this.#take(key)) this.#take(number);
      const name = this.#source.slice(from, this.#at);
      this.#next();
      this.#at++;
      properties.push(`${name}:${this.#value(found)}`);
      if (this.#next() === comma) this.#at++;
    }
    this.#at++;
    return `{${properties.join()}}`;
  }

  #next(): number {
    for (;;) {
      const c = this.#source.charCodeAt(this.#at);
      if (c !== 32 && c !== 10 && c !== 9) return c;
      this.#at++;
    }
  }

  #take(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    if (!pattern.test(this.#source)) return false;
    this.#at = pattern.lastIndex;
    return true;
  }
}
