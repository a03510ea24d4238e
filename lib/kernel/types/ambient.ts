// What a cell says to the checker for all cells: references to libraries and files of types, and `declare module "x"`.
import type { CellCode } from "../cell/code.ts";
import { leadingComments } from "../cell/tree.ts";
import type { Diagnostic } from "./diagnostics.ts";
import { moduleName, offsetIn } from "./text.ts";

export class Ambient {
  /** References as they stand, modules by name. */
  readonly #declared = new Map<string, string>();

  get text(): string {
    // References stand first in a file.
    const lines = [...this.#declared.values()].sort(
      (a, b) => Number(b.startsWith("///")) - Number(a.startsWith("///")),
    );
    return `${lines.join("\n")}\n`;
  }

  /** Takes in a cell's references, and what it says anew of modules that were declared before. */
  heed(source: string, cell: CellCode): void {
    for (const [line] of leadingComments(source).matchAll(/^[ \t]*\/\/\/\s*<reference\s.*$/gm))
      this.#declared.set(line.trim(), line.trim());
    for (const [start, end] of cell.ambientModules) {
      const name = moduleName(source.slice(start, end)) ?? "";
      if (this.#declared.has(name)) this.#declared.set(name, source.slice(start, end));
    }
  }

  /**
   * `declare module "x"` of a module that is not there, or has no types, declares it for all cells; whether there was one
   * among the problems.
   */
  declareModules(found: Diagnostic[], source: string, cell: CellCode): boolean {
    const before = this.text;
    for (const { code, line, column } of found) {
      if (code !== 2664 && code !== 2665) continue;
      const at = offsetIn(source, line, column);
      const range = cell.ambientModules.find(([start, end]) => start <= at && at < end);
      const text = range && source.slice(...range);
      const name = text && moduleName(text);
      if (text && name) this.#declared.set(name, text);
    }
    return this.text !== before;
  }

  /** A cell's text without what is declared for all cells; its lines stay. */
  without(source: string, text: string, cell: CellCode): string {
    for (const [start, end] of cell.ambientModules) {
      const declared = source.slice(start, end);
      if (this.#declared.get(moduleName(declared) ?? "") === declared)
        text = text.slice(0, start) + declared.replaceAll(/[^\n]/g, " ") + text.slice(end);
    }
    return text;
  }
}
