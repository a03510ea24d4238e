// Edits of a cell's text that remember where each line came from, and source maps moved by them.
import type { SourceMap } from "./code.ts";

/** `text` in place of the source from `start` to `end`. `moved`: the range is used elsewhere, with its own edits. */
export interface Edit {
  start: number;
  end: number;
  text: string;
  moved?: boolean;
}

/** A piece of the source that moves to the head, between `prefix` and `suffix` and without the range `skip`. */
export interface Moved {
  start: number;
  end: number;
  prefix: string;
  suffix?: string;
  skip?: [number, number];
}

/** From a 0-based place in the edited text to the 0-based place in the source. */
export type PlaceInSource = (line: number, column: number) => [line: number, column: number];

/** Text put together from pieces of a source and from other text, which knows where each piece came from. */
class Pieces {
  text = "";
  private readonly source: string;
  /** Where each piece starts in the text, and where it came from. Text that is not of the source has its place only. */
  private readonly starts: number[] = [];
  private readonly origins: { at: number; copied: boolean }[] = [];

  constructor(source: string) {
    this.source = source;
  }

  copy(start: number, end: number): void {
    if (end <= start) return;
    this.mark(start, true);
    this.text += this.source.slice(start, end);
  }

  /** Text that stands for what was at `at` in the source. */
  add(text: string, at: number): void {
    if (!text) return;
    this.mark(at, false);
    this.text += text;
  }

  /** The source from `start` to `end` with edits, which are in order. */
  apply(start: number, end: number, edits: Edit[]): void {
    let at = start;
    for (const edit of edits) {
      if (edit.start < at) continue;
      this.copy(at, edit.start);
      this.add(edit.text, edit.start);
      at = edit.end;
    }
    this.copy(at, end);
  }

  places(): PlaceInSource {
    const lines = lineStarts(this.text);
    const sourceLines = lineStarts(this.source);
    return (line, column) => {
      const offset = (lines[line] ?? this.text.length) + column;
      const index = Math.max(
        0,
        lastUpTo(this.starts, (start) => start <= offset),
      );
      const origin = this.origins[index] ?? { at: 0, copied: false };
      const at = origin.copied ? origin.at + offset - this.starts[index] : origin.at;
      const sourceLine = lastUpTo(sourceLines, (start) => start <= at);
      return [sourceLine, at - sourceLines[sourceLine]];
    };
  }

  private mark(at: number, copied: boolean): void {
    this.starts.push(this.text.length);
    this.origins.push({ at, copied });
  }
}

export function lineStarts(text: string): number[] {
  const starts = [0];
  for (let i = text.indexOf("\n"); i >= 0; i = text.indexOf("\n", i + 1)) starts.push(i + 1);
  return starts;
}

/** The index of the last item that `isUpTo` a place, in items of ascending places; -1 where none is. */
function lastUpTo<Item>(items: Item[], isUpTo: (item: Item) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isUpTo(items[middle])) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * Applies edits, and puts the pieces of `head` on lines of their own above the text, and `headEnd` after them; `block`
 * puts the rest in braces. The answer's `place` leads back to the source.
 */
export function editedText(
  source: string,
  edits: Edit[],
  { head = [], headEnd = "", block = false }: { head?: Moved[]; headEnd?: string; block?: boolean } = {},
): { text: string; place: PlaceInSource } {
  const pieces = new Pieces(source);
  edits = edits.toSorted(byPlace);
  const rest: Edit[] = [];
  const inner = head.map((): Edit[] => []);
  // Pieces that move do not overlap, so those in order and the edits in order meet one after the other.
  const order = head.map((piece, index) => ({ piece, index })).sort((a, b) => a.piece.start - b.piece.start);
  let next = 0;
  for (const edit of edits) {
    while (next < order.length && order[next].piece.end < edit.end) next++;
    const { piece, index } = order[next] ?? {};
    // (What is put right before a piece or right behind it belongs to its neighbours.)
    const isWithin = piece && edit.end > piece.start && edit.start < piece.end;
    if (isWithin && !edit.moved) inner[index].push(edit);
    else rest.push(edit);
  }
  for (const [index, each] of head.entries()) {
    if (each.skip) inner[index].push({ start: each.skip[0], end: each.skip[1], text: "" });
    pieces.add(each.prefix, each.start);
    pieces.apply(each.start, each.end, inner[index].sort(byPlace));
    pieces.add(`${each.suffix ?? ""};\n`, each.end);
  }
  if (headEnd) pieces.add(`${headEnd}\n`, 0);
  if (block) pieces.add("{\n", 0);
  pieces.apply(0, source.length, rest);
  if (block) pieces.add("\n}", source.length);
  return { text: pieces.text, place: pieces.places() };
}

function byPlace(a: Edit, b: Edit): number {
  return a.start - b.start || a.end - b.end;
}

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const digitValue = new Uint8Array(128);
for (let i = 0; i < 64; i++) digitValue[digits.charCodeAt(i)] = i;

/** A place of generated code and where it came from, all from 0. */
export interface Segment {
  line: number;
  column: number;
  sourceLine: number;
  sourceColumn: number;
  /** The name that stands in the source there, where it is another: its place in the map's names. */
  name?: number;
}

/** A source map's mappings, of one source, in the order of the generated code. */
export function readMappings(mappings: string): Segment[] {
  const segments: Segment[] = [];
  let line = 0;
  let column = 0;
  let sourceLine = 0;
  let sourceColumn = 0;
  let name = 0;
  let i = 0;
  const next = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 5) {
      const digit = digitValue[mappings.charCodeAt(i++)];
      value |= (digit & 31) << shift;
      if ((digit & 32) === 0) return value & 1 ? -(value >>> 1) : value >>> 1;
    }
  };
  const atEnd = () => i >= mappings.length || mappings.charCodeAt(i) === 44 || mappings.charCodeAt(i) === 59;
  while (i < mappings.length) {
    const c = mappings.charCodeAt(i);
    if (c === 59) {
      line++;
      column = 0;
      i++;
    } else if (c === 44) i++;
    else {
      column += next();
      if (atEnd()) continue;
      next(); // there is one source
      sourceLine += next();
      sourceColumn += next();
      const segment: Segment = { line, column, sourceLine, sourceColumn };
      if (!atEnd()) {
        name += next();
        segment.name = name;
      }
      segments.push(segment);
    }
  }
  return segments;
}

/** The segment that a place of the generated code (from 0) belongs to: the last that begins before it. */
export function segmentAt(segments: Segment[], line: number, column: number): Segment | undefined {
  const isUpTo = (each: Segment) => each.line < line || (each.line === line && each.column <= column);
  return segments[lastUpTo(segments, isUpTo)] ?? segments[0];
}

/** The map of text that runs as it is: a mapping for each word and sign. */
export function wordMap(text: string, place: PlaceInSource): SourceMap {
  const mappings: string[] = [];
  let lastLine = 0;
  let lastColumn = 0;
  let line = 0;
  let from = 0;
  let lastGenerated = 0;
  let isFirst = true;
  let before = Word.space;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 10) {
      mappings.push(";");
      line++;
      from = i + 1;
      lastGenerated = 0;
      isFirst = true;
      before = Word.space;
      continue;
    }
    const kind = kindOf(c);
    if (kind !== Word.space && (kind !== before || kind === Word.sign)) {
      const [sourceLine, sourceColumn] = place(line, i - from);
      const segment = `${vlq(i - from - lastGenerated)}A${vlq(sourceLine - lastLine)}${vlq(sourceColumn - lastColumn)}`;
      mappings.push(isFirst ? segment : `,${segment}`);
      isFirst = false;
      lastGenerated = i - from;
      lastLine = sourceLine;
      lastColumn = sourceColumn;
    }
    before = kind;
  }
  return { version: 3, sources: [], sourcesContent: [], names: [], mappings: mappings.join("") };
}

const Word = { space: 0, word: 1, sign: 2 };

function kindOf(c: number): number {
  if (c <= 32) return Word.space;
  const word =
    c > 127 || (c >= 97 && c <= 122) || (c >= 65 && c <= 90) || (c >= 48 && c <= 57) || c === 95 || c === 36;
  return word ? Word.word : Word.sign;
}

function vlq(value: number): string {
  let rest = value < 0 ? (-value << 1) | 1 : value << 1;
  let text = "";
  do {
    const digit = rest & 31;
    rest >>>= 5;
    text += digits[rest > 0 ? digit | 32 : digit];
  } while (rest > 0);
  return text;
}
