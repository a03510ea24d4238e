// Where code that a person wrote stands in V8's scripts, and the other way round. Lines count from 1 for people, from 0
// for V8.
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { type Segment, segmentAt } from "../cell/edits.ts";

/** What a front end needs to know to name cells as `pathOf` does. */
export const hashSeed = 0xc70f6907;
export const prefix = join(tmpdir(), `slimlab_${process.pid}`) + sep;

/** MurmurHash2 (32 bits) of the text's UTF-8, which is how JupyterLab names a cell to its debugger. */
export function murmur2(text: string, seed: number): number {
  const bytes = Buffer.from(text);
  const m = 0x5bd1e995;
  let h = seed ^ bytes.length;
  let i = 0;
  for (; i + 4 <= bytes.length; i += 4) {
    let k = Math.imul(bytes.readInt32LE(i), m);
    k = Math.imul(k ^ (k >>> 24), m);
    h = Math.imul(h, m) ^ k;
  }
  if (i < bytes.length) h = Math.imul(h ^ bytes.readUIntLE(i, bytes.length - i), m);
  h = Math.imul(h ^ (h >>> 13), m);
  return (h ^ (h >>> 15)) >>> 0;
}

/** Code that V8 knows and a person wrote: a cell, or a file. */
export interface Source {
  /** V8's name of it. */
  url: string;
  /** The path by which the front end knows it. */
  path: string;
  name: string;
  segments(): Segment[] | undefined;
}

/** The path that stands for a cell of this text. */
export function pathOf(text: string): string {
  return `${prefix}${murmur2(text, hashSeed)}.ts`;
}

/** The first line from `line` (from 1) on that has code. */
export function lineWithCode(segments: Segment[], line: number): number | undefined {
  let best: number | undefined;
  for (const { sourceLine } of segments) {
    if (sourceLine >= line - 1 && (best === undefined || sourceLine < best)) best = sourceLine;
  }
  return best === undefined ? undefined : best + 1;
}

/** Where in the generated code a line (from 1) begins. */
export function generatedPlace(segments: Segment[] | undefined, line: number): Segment | undefined {
  if (!segments) return { line: line - 1, column: 0, sourceLine: line - 1, sourceColumn: 0 };
  const wanted = lineWithCode(segments, line);
  let best: Segment | undefined;
  for (const each of segments) {
    if (each.sourceLine + 1 === wanted && (!best || each.sourceColumn < best.sourceColumn)) best = each;
  }
  return best;
}

interface Location {
  lineNumber: number;
  columnNumber?: number;
}

/**
 * Where a stop is in what the person wrote. V8 stops a `return` at its end, which in code without spaces is the place
 * of the next line's brace: the line that the breakpoint is for decides.
 */
export function placeOfStop(
  source: Source,
  location: Location,
  wanted?: number,
): { line: number; column: number } {
  const segments = source.segments();
  const place = sourcePlace(segments, location) ?? { line: 1, column: 1 };
  if (wanted === undefined || place.line === wanted) return place;
  const before = sourcePlace(segments, { ...location, columnNumber: (location.columnNumber ?? 0) - 1 });
  return before?.line === wanted ? before : place;
}

/** Where a place of the generated code came from; counts from 1. */
function sourcePlace(
  segments: Segment[] | undefined,
  { lineNumber, columnNumber = 0 }: Location,
): { line: number; column: number } | undefined {
  if (!segments) return { line: lineNumber + 1, column: columnNumber + 1 };
  const found = segmentAt(segments, lineNumber, columnNumber);
  return found && { line: found.sourceLine + 1, column: found.sourceColumn + 1 };
}

/** A file's source map, where it leads to one file that is there. */
export function readMap(
  sourceMapURL: string,
  url: string,
): { path: string; mappings: string; segments?: Segment[] } | undefined {
  try {
    const inline = /^data:[^,]*?(;base64)?,(.*)$/s.exec(sourceMapURL);
    const text = inline
      ? inline[1]
        ? Buffer.from(inline[2], "base64").toString()
        : decodeURIComponent(inline[2])
      : readFileSync(new URL(sourceMapURL, url), "utf8");
    const { sources, mappings, sourceRoot = "" } = JSON.parse(text);
    if (sources.length !== 1) return undefined;
    const path = fileURLToPath(new URL(sourceRoot + sources[0], url));
    return { path, mappings };
  } catch {
    return undefined;
  }
}
