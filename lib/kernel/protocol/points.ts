// Jupyter counts code points, JavaScript counts UTF-16 units.

/** The offset in UTF-16 units that a count of code points leads to; the text's end where the count is none. */
export function offsetOf(source: string, codePointCount: unknown): number {
  if (typeof codePointCount !== "number" || !(codePointCount >= 0)) return source.length;
  let offset = 0;
  for (let i = 0; i < codePointCount && offset < source.length; i++) {
    offset += source.codePointAt(offset)! > 0xffff ? 2 : 1;
  }
  return offset;
}

/** How many code points stand before an offset. */
export function codePoints(source: string, offset: number): number {
  let points = 0;
  for (let i = 0; i < offset; points++) i += source.codePointAt(i)! > 0xffff ? 2 : 1;
  return points;
}

/** The same places, counted in code points. */
export function inCodePoints<T extends { start: number; end: number }>(source: string, places: T[]): T[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range of ASCII is what is meant.
  if (/^[\x00-\x7f]*$/.test(source)) return places;
  return places.map((place) => ({
    ...place,
    start: codePoints(source, place.start),
    end: codePoints(source, place.end),
  }));
}
