// Places and words in a cell's text, and its document's: LSP counts lines and columns from 0, in UTF-16 units.
import type { CellCode } from "../cell/code.ts";
import { thinned } from "../cell/data.ts";
import { jsxType } from "../cell/jsx.ts";
import { leadingComments } from "../cell/tree.ts";

export interface Position {
  line: number;
  character: number;
}
export interface Range {
  start: Position;
  end: Position;
}

export function slashes(path: string): string {
  return path.replaceAll("\\", "/");
}

/** The text may name modules or files, which are looked up from the notebook's folder. */
export function hasImports(source: string): boolean {
  return /\b(import|require|from|module)\b|^[ \t]*\/\/\//m.test(source);
}

/** The name in `declare module "name"`. */
export function moduleName(text: string): string | undefined {
  return /["'](.*?)["']/.exec(text)?.[1];
}

/** A cell's text as a checker takes it: without the line that tells a shell what runs it, and with little data. */
export function plain(source: string): string {
  const text = thinned(source);
  return text.startsWith("#!") ? `//${text.slice(2)}` : text;
}

/** A cell that is one object literal, as a checker takes it: in parentheses, without a semicolon. */
export function inParentheses(text: string): string {
  return `(\n${text.replaceAll(/;(?=(?:[\s;]|\/\/[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*$)/g, " ")}\n)`;
}

const opening = "declare global {";

/** A cell's text with its interfaces that add to the language's own where a module says such things. */
export function withGlobals(text: string, { globalInterfaces }: CellCode): string {
  for (const [start, end] of globalInterfaces.toReversed())
    text = `${text.slice(0, start)}${opening}${text.slice(start, end)}}${text.slice(end)}`;
  return text;
}

/** The column in a cell of a column in its text `withGlobals`; both count from 1. */
export function columnIn(
  source: string,
  line: number,
  column: number,
  { globalInterfaces }: CellCode,
): number {
  if (globalInterfaces.length === 0) return column;
  const from = offsetAt(source, { line, character: 0 });
  const length = source.slice(from).split("\n", 1)[0].length;
  let shift = 0;
  for (const [start, end] of globalInterfaces)
    for (const [at, added] of [
      [start - from, opening.length],
      [end - from, 1],
    ])
      if (at >= 0 && at <= length && column - 1 - shift > at)
        shift += Math.min(added, column - 1 - shift - at);
  return column - shift;
}

/** Where something in a cell stands, as an offset; lines and columns count from 1. */
export function offsetIn(source: string, line: number, column: number): number {
  return offsetAt(source, { line, character: column - 1 });
}

/** `// @ts-nocheck` in the comments that start a cell. */
export function hasNoCheck(source: string): boolean {
  return /\/\/+\s*@ts-nocheck\b/.test(leadingComments(source));
}

export function wordBefore(source: string, cursor: number): string {
  return /[\p{ID_Continue}$#]*$/u.exec(source.slice(Math.max(0, cursor - 200), cursor))![0];
}

export function identifierAt(source: string, cursor: number): string {
  const before = /[\p{ID_Continue}$]*$/u.exec(source.slice(0, cursor))![0];
  return before + /^[\p{ID_Continue}$]*/u.exec(source.slice(cursor))![0];
}

/** The server's position of an offset in a cell: the prelude's line comes first. */
export function positionAt(source: string, offset: number): Position {
  let line = 1;
  let from = 0;
  for (let i = source.indexOf("\n"); i >= 0 && i < offset; i = source.indexOf("\n", i + 1)) {
    line++;
    from = i + 1;
  }
  return { line, character: offset - from };
}

export function offsetAt(source: string, position: Position): number {
  let from = 0;
  for (let line = 1; line < position.line; line++) from = source.indexOf("\n", from) + 1;
  return from + position.character;
}

/** Takes out the names of the documents that stand for cells. */
export function clean(text: string): string {
  return text
    .replaceAll(/import\("[^"]*__slimlab_\w+"\)\./g, "")
    .replaceAll(/\b__cell\d+\./g, "")
    .replaceAll(/import\("[^"]*\/node_modules\/((?:@[^/"]+\/)?[^/"]+)[^"]*"\)/g, 'import("$1")')
    .replaceAll(/["'][^"']*__slimlab_\w+["']/g, "an earlier cell");
}

/** "(alias) class C" and the line "import C = …" below it say how the name came here, which nobody asked. */
export function withoutAlias(text: string): string {
  return text.replace("(alias) ", "").replaceAll(/\n(?:import|export) [\w$]+(?: = [\w$.]+)?(?=\n```|$)/g, "");
}

export function firstBlock(markdown: string): string {
  return (
    /```\w*\n([\s\S]*?)```/
      .exec(markdown)?.[1]
      .replace(/^(?:let|const|var) /, "")
      .trim() ?? ""
  );
}

/** Markdown for a place that shows text only. */
export function plainText(markdown: string): string {
  return markdown
    .replaceAll(/```\w*\n?/g, "")
    .replaceAll(/\*\*?([^*\n]+)\*\*?/g, "$1")
    .replaceAll(/\[([^\]\n]+)\]\([^)\n]*\)/g, "$1")
    .replaceAll(/\n{3,}/g, "\n\n")
    .trim();
}

/** A cell's text as far as types go: each JSX expression is its type's value, which needs no file of another kind. */
export function typeText(source: string, { jsx }: CellCode): string {
  let text = source;
  for (const [start, end] of jsx?.places.toReversed() ?? []) {
    const lines = text.slice(start, end).replaceAll(/[^\n]/g, "");
    text = `${text.slice(0, start)}(undefined! as ${jsxType(jsx!.settings)}${lines})${text.slice(end)}`;
  }
  return text;
}
