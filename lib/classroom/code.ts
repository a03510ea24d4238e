// A cell's code, read and not run: its statements, what it declares and mentions, regions between marks.
import { parse } from "@babel/parser";
import { transformCell } from "../kernel/cell/transform.ts";
import type { Statement } from "../kernel/cell/tree.ts";

/** A statement of a cell, and where it stands. */
export interface PlacedStatement {
  start: number;
  end: number;
  node: Statement;
}

/** The statements of a cell; undefined where it cannot be read. */
export function statementsOf(source: string): PlacedStatement[] | undefined {
  try {
    const { program } = parse(source, {
      sourceType: "module",
      plugins: ["typescript", "importAttributes" as never],
      allowAwaitOutsideFunction: true,
      errorRecovery: true,
    });
    return (program.body as Statement[]).map((node) => ({ start: node.start, end: node.end, node }));
  } catch {
    return undefined;
  }
}

/** What a cell declares and mentions. */
export interface Names {
  /** Declared at the top level, with a value; imports too. */
  declared: Set<string>;
  imported: Set<string>;
  /** Mentioned, and not declared at the cell's top level. */
  references: Set<string>;
}

/** What a cell declares and mentions; undefined where it cannot be read. */
export async function namesOf(source: string): Promise<Names | undefined> {
  try {
    const { declared, references } = await transformCell(source, { name: "cell" });
    const values = declared.filter(({ value }) => value);
    return {
      declared: new Set(values.map(({ name }) => name)),
      imported: new Set(values.filter(({ kind }) => kind === "import").map(({ name }) => name)),
      references,
    };
  } catch {
    return undefined;
  }
}

/** What a cell declares at its top level, imports apart. */
export async function ownNames(source: string): Promise<Set<string>> {
  const names = await namesOf(source);
  return new Set([...(names?.declared ?? [])].filter((name) => !names!.imported.has(name)));
}

/** The end of the line where a statement ends, if only a comment follows there. */
export function withComment(source: string, end: number): number {
  const rest = /^[ \t]*(?:\/\/[^\n]*|\/\*[^\n]*?\*\/[ \t]*(?=\n|$))/.exec(source.slice(end));
  return end + (rest?.[0].length ?? 0);
}

export function isImport(node: Statement): boolean {
  return node.type === "ImportDeclaration";
}

/** Where marked regions lie, as offsets. */
export function regions(source: string, from: RegExp, to: RegExp): [number, number][] {
  const found: [number, number][] = [];
  let at = 0;
  for (;;) {
    const first = from.exec(source.slice(at));
    if (!first) return found;
    const start = at + first.index;
    const last = to.exec(source.slice(start));
    const end = last ? start + last.index + last[0].length : source.length;
    found.push([start, end]);
    at = end;
  }
}

/** A text with a part of it blank; lines stay where they are. */
export function blanked(text: string, start: number, end: number): string {
  return text.slice(0, start) + text.slice(start, end).replace(/[^\n]/g, " ") + text.slice(end);
}
