// Edits of a cell's text that remember where each line came from, and source maps moved by them.
import type { SourceMap } from "./transform.ts";

/** `text` in place of the source from `start` to `end`. `moved`: the range is used elsewhere, with its own edits. */
export interface Edit {
  start: number;
  end: number;
  text: string;
  moved?: boolean;
}

/** A piece of the source that moves to the head, after `prefix` and without the range `skip`. */
export interface Moved {
  start: number;
  end: number;
  prefix: string;
  skip?: [number, number];
}

/** From a 0-based place in the edited text to the 0-based place in the source. */
export type PlaceInSource = (line: number, column: number) => [line: number, column: number];

/**
 * Applies edits, and puts the pieces of `head` on lines of their own above the text; `block` puts the rest in braces.
 * Edits must keep the number of lines. The answer's `lines` leads back to the source.
 */
export function editedText(
  source: string,
  edits: Edit[],
  head: Moved[],
  block: boolean,
): { text: string; lines: PlaceInSource } {
  const moved = edits.filter((edit) => edit.moved);
  const within = (edit: Edit, piece: { start: number; end: number }) =>
    !edit.moved && edit.start >= piece.start && edit.end <= piece.end;
  let text = "";
  // For each line of the head: the source's line, and how far its columns have moved.
  const origins: { line: number; shift: number }[] = [];
  for (const each of head) {
    const inner = edits.filter((edit) => within(edit, each));
    if (each.skip) inner.push({ start: each.skip[0], end: each.skip[1], text: "" });
    const piece = `${each.prefix}${applied(source, each.start, each.end, inner)};\n`;
    const start = placeOf(source, each.start);
    origins.push({ line: start.line, shift: start.column - each.prefix.length });
    const lines = lineCount(piece);
    for (let i = 1; i < lines; i++) origins.push({ line: start.line + i, shift: 0 });
    text += piece;
  }
  if (block) {
    text += "{\n";
    origins.push({ line: 0, shift: 0 });
  }
  const rest =
    moved.length === 0 ? edits : edits.filter((edit) => !moved.some((piece) => within(edit, piece)));
  text += applied(source, 0, source.length, rest);
  if (block) text += "\n}";
  return {
    text,
    lines: (line, column) => {
      const origin = origins[line];
      if (!origin) return [line - origins.length, column];
      return [origin.line, Math.max(0, column + origin.shift)];
    },
  };
}

function lineCount(text: string): number {
  let count = 0;
  for (let i = text.indexOf("\n"); i >= 0; i = text.indexOf("\n", i + 1)) count++;
  return count;
}

function applied(source: string, start: number, end: number, edits: Edit[]): string {
  edits.sort((a, b) => a.start - b.start || a.end - b.end);
  let text = "";
  let at = start;
  for (const edit of edits) {
    if (edit.start < at) continue;
    text += source.slice(at, edit.start) + edit.text;
    at = edit.end;
  }
  return text + source.slice(at, end);
}

function placeOf(source: string, offset: number): { line: number; column: number } {
  let line = 0;
  let from = 0;
  for (let i = source.indexOf("\n"); i >= 0 && i < offset; i = source.indexOf("\n", i + 1)) {
    line++;
    from = i + 1;
  }
  return { line, column: offset - from };
}

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const digitValue = new Uint8Array(128);
for (let i = 0; i < 64; i++) digitValue[digits.charCodeAt(i)] = i;

/** Moves the source side of a map with `place`. Every mapping keeps its place in the generated code. */
export function shiftMap(map: SourceMap, place: PlaceInSource): SourceMap {
  const { mappings } = map;
  let out = "";
  let sourceLine = 0;
  let sourceColumn = 0;
  let lastLine = 0;
  let lastColumn = 0;
  let lastGenerated = 0;
  let generated = 0;
  let i = 0;
  let first = true;
  const next = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 5) {
      const digit = digitValue[mappings.charCodeAt(i++)];
      value |= (digit & 31) << shift;
      if ((digit & 32) === 0) return value & 1 ? -(value >>> 1) : value >>> 1;
    }
  };
  while (i < mappings.length) {
    const c = mappings.charCodeAt(i);
    if (c === 59) {
      out += ";";
      generated = 0;
      lastGenerated = 0;
      first = true;
      i++;
      continue;
    }
    if (c === 44) {
      i++;
      continue;
    }
    generated += next();
    if (i >= mappings.length || mappings.charCodeAt(i) === 44 || mappings.charCodeAt(i) === 59) continue;
    next(); // there is one source
    sourceLine += next();
    sourceColumn += next();
    if (i < mappings.length && mappings.charCodeAt(i) !== 44 && mappings.charCodeAt(i) !== 59) next();
    const [line, column] = place(sourceLine, sourceColumn);
    if (!first) out += ",";
    first = false;
    out += `${vlq(generated - lastGenerated)}A${vlq(line - lastLine)}${vlq(column - lastColumn)}`;
    lastGenerated = generated;
    lastLine = line;
    lastColumn = column;
  }
  return { version: 3, sources: map.sources, sourcesContent: [], names: [], mappings: out };
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
