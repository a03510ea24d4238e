// Text as both renderers need it: numbers by a d3 format, lines of a width.

/** A number by the few d3 formats that the plots use: `.1%`, `~%`, `~s`, `.3s`, `.4~g`; without one, as short as it is exact. */
export function formatNumber(value: number, format = ""): string {
  if (format === "~%") return `${Number((100 * value).toPrecision(6))}%`;
  if (format.endsWith("%")) return `${(100 * value).toFixed(Number(/\.(\d)/.exec(format)?.[1] ?? 0))}%`;
  const digits = Number(/\.(\d)/.exec(format)?.[1] ?? 6);
  if (format.endsWith("s") && value !== 0) {
    const power = Math.min(4, Math.max(0, Math.floor(Math.log10(Math.abs(value)) / 3)));
    if (power > 0) return `${Number((value / 1000 ** power).toPrecision(digits))}${"kMGT"[power - 1]}`;
  }
  const plain = Number(value.toPrecision(digits));
  const size = Math.abs(plain);
  return size !== 0 && (size < 1e-4 || size >= 1e6)
    ? plain.toExponential().replace("e+", "e")
    : String(plain);
}

/** Breaks text into lines of at most `width` characters (a Chinese one counts twice), at spaces where there are any. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  let used = 0;
  // A break may come after a space or beside any wide character.
  for (const piece of text.match(/[\u2e80-\uffef]|[^\s\u2e80-\uffef]+|\s+/gu) ?? []) {
    const size = textUnits(piece);
    if (used + size > width && line.trim()) {
      lines.push(line.trim());
      line = "";
      used = 0;
    }
    if (line === "" && !piece.trim()) continue;
    line += piece;
    used += size;
  }
  if (line.trim() || lines.length === 0) lines.push(line.trim());
  return lines;
}

/** A figure's title in lines. */
export function wrapTitle(title: string): string[] {
  return wrap(title, 84);
}

/** The width of text in Latin characters: a Chinese one counts twice. */
export function textUnits(text: string): number {
  let units = 0;
  for (const character of text) units += character >= "\u2e80" ? 2 : 1;
  return units;
}
