// All cells that have run as one text: what TypeScript accepts there is right, though between modules it would forget it.
import type { CellCode, DeclaredKind } from "../cell/code.ts";
import type { Diagnostic } from "./diagnostics.ts";
import { inParentheses, offsetIn, plain, typeText, withGlobals } from "./text.ts";

/** Declarations of one name in two cells that make one thing of both. */
const addsUp = new Set([
  "namespace namespace",
  "enum enum",
  "enum namespace",
  "class interface",
  "class namespace",
  "function namespace",
]);

/** Larger cells are left out; of the others, as many as this many characters hold. */
const mostOfOne = 100_000;
const mostOfAll = 300_000;
const mostCells = 500;

function textOf(source: string, cell: CellCode): string {
  return withGlobals(plain(typeText(source, cell)), cell);
}

interface Ran {
  source: string;
  cell: CellCode;
}

export class Whole {
  /** Cells that have run, the last run of each. */
  #ran: Ran[] = [];

  /** Keeps a cell that has run. */
  add(source: string, cell: CellCode): void {
    if (source.length > mostOfOne) return;
    this.#ran = this.#ran.filter((each) => each.source !== source);
    this.#ran.push({
      source,
      cell: { ...cell, code: "", map: { ...cell.map, sourcesContent: [], mappings: "" } },
    });
    let size = 0;
    const first = this.#ran.findLastIndex((each) => (size += each.source.length) > mostOfAll);
    this.#ran = this.#ran.slice(Math.max(0, first + 1, this.#ran.length - mostCells));
  }

  /**
   * The cells whose names are still theirs, and this one, as one text; `lines` come before the cell's. Names of the other
   * cells are carried as always: `prelude` makes their line, of those that it knows.
   */
  with(
    source: string,
    cell: CellCode,
    prelude: (names: Iterable<string>) => string,
  ): { text: string; lines: number } | undefined {
    const parts = this.#parts(cell);
    if (parts.length === 0) return undefined;
    const declared = new Set(cell.declared.map(({ name }) => name));
    const wanted = new Set<string>(cell.references);
    for (const part of parts) {
      for (const { name } of part.cell.declared) declared.add(name);
      for (const name of part.cell.references) wanted.add(name);
    }
    const carried = [...wanted].filter((name) => !declared.has(name));
    const before = `${prelude(carried)}${parts.map((part) => `${textOf(part.source, part.cell)}\n;`).join("")}`;
    const own = withGlobals(plain(source), cell);
    // The prelude is a line of its own in the module that was checked first.
    return {
      text: `${before}${cell.isObject ? inParentheses(own) : `\n${own}`}`,
      lines: before.split("\n").length - 1,
    };
  }

  /** `ns.default` of `import * as ns from "x.json"`, which is there at run time and not for TypeScript. */
  isJsonDefault({ code, message, line, column }: Diagnostic, source: string): boolean {
    if (code !== 2339 || !message.startsWith("Property 'default'")) return false;
    const before = source.slice(0, offsetIn(source, line, column));
    const name = /([\p{ID_Start}$_][\p{ID_Continue}$]*)\s*\.\s*$/u.exec(before)?.[1];
    const imports =
      /\bimport\s*\*\s*as\s+([\p{ID_Start}$_][\p{ID_Continue}$]*)\s+from\s*["'][^"'\n]*\.json["']/gu;
    const texts = [...this.#ran.map((each) => each.source), source];
    return texts.some((text) => [...text.matchAll(imports)].some(([, each]) => each === name));
  }

  #parts(cell: CellCode): Ran[] {
    const later = new Map<string, DeclaredKind>(cell.declared.map(({ name, kind }) => [name, kind]));
    const parts: Ran[] = [];
    for (const ran of this.#ran.toReversed()) {
      const isWhole = ran.cell.declared.every(({ name, kind }) => {
        const again = later.get(name);
        return again === undefined || addsUp.has(`${kind} ${again}`);
      });
      for (const { name, kind } of ran.cell.declared) if (!later.has(name)) later.set(name, kind);
      if (isWhole && !ran.cell.isObject) parts.unshift(ran);
    }
    return parts;
  }
}
