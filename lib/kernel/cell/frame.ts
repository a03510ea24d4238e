/** The lines around a place in a cell, with a mark under it, as lines to print. `line` and `column` count from 1. */
export function codeFrame(source: string, line: number, column: number, width = 1): string[] {
  const lines = source.split("\n");
  const first = Math.max(1, line - 2);
  const last = Math.min(lines.length, line + 2);
  const gutter = String(last).length;
  const frame: string[] = [];
  for (let at = first; at <= last; at++) {
    const text = lines[at - 1];
    // A minified line is no help: show the part around the place.
    const from = text.length > 200 ? Math.max(0, (at === line ? column : 1) - 80) : 0;
    const shown = text.slice(from, from + 160);
    if (at !== line) {
      frame.push(`  ${String(at).padStart(gutter)} | ${shown}`.trimEnd());
      continue;
    }
    frame.push(`\u001b[31m>\u001b[39m ${String(at).padStart(gutter)} | ${shown}`);
    // Tabs stay tabs, so that the mark stands below its place whatever their width.
    const before = shown.slice(0, Math.max(0, column - 1 - from)).replaceAll(/[^\t]/g, " ");
    const marks = "^".repeat(Math.max(1, Math.min(width, shown.length - before.length)));
    frame.push(`  ${" ".repeat(gutter)} | ${before}\u001b[31m${marks}\u001b[39m`);
  }
  return frame;
}

/** A place in a cell as lines to print: which it is, and the lines around it. */
export function placeInCell(
  title: string,
  source: string,
  line: number,
  column: number,
  width?: number,
): string[] {
  return [`${title}, line ${line}, column ${column}`, ...codeFrame(source, line, column, width)];
}
