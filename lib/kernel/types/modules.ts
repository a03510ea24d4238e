// The modules that cells are to the server. An accepted cell fills an empty one, which exports the names it declares; one
// whose names are all redeclared is free for another.
import type { CellCode, Declared, DeclaredKind } from "../cell/code.ts";
import type { Ground, OwnFolder, WatchedFiles } from "./ground.ts";
import { documentOf, prefix } from "./project.ts";
import type { TypeServer } from "./server.ts";
import { hasImports } from "./text.ts";

interface Name {
  cell: number;
  declared: Declared;
  /** The text of its declarations, and the names that they may mention: a later cell may add to it. */
  parts: string[];
  needs: string[];
}

/** Of declarations that add up, as many as this are remembered. */
const mostParts = 20;

/** An accepted cell's module. */
interface CellModule {
  /** Names whose newest declaration is here. */
  newest: number;
  /** Cells that take names from here. */
  users: number;
  /** Cells that it takes names from. */
  uses: number[];
  /** What is in it. */
  text: string;
}

/** Empty modules at the start: for cells without imports (files) and for cells with imports (open documents). */
const fileModules = 256;
const openModules = 24;

export class CellModules {
  readonly #folder: string;
  readonly #server: TypeServer;
  readonly #files: WatchedFiles;
  readonly #cells = new Map<number, CellModule>();
  /** Modules by what is in them. */
  readonly #texts = new Map<string, number>();
  readonly #names = new Map<string, Name>();
  /** Where each module lies, and its name without the extension; a cell's number is its place here. */
  readonly #modules: { folder: string; name: string; open: boolean }[] = [];
  readonly #free = { open: [] as number[], files: [] as number[] };
  readonly #home: OwnFolder | undefined;
  readonly #namesModule: string;

  constructor(ground: Ground, server: TypeServer, files: WatchedFiles) {
    this.#folder = ground.folder;
    this.#server = server;
    this.#files = files;
    this.#namesModule = JSON.stringify(`${this.#folder}/${prefix}_names`);
    try {
      this.#home = ground.ownFolder();
    } catch {
      // Nowhere to write: every module is an open document, which works and takes longer.
    }
    this.#addModules("open", openModules);
    if (this.#home) this.#addModules("files", fileModules);
  }

  /** Empties all modules. */
  forget(): void {
    this.#names.clear();
    this.#texts.clear();
    for (const number of this.#cells.keys()) {
      this.#fill(number, this.prelude([]));
      this.#free[this.#modules[number].open ? "open" : "files"].push(number);
    }
    this.#cells.clear();
  }

  /** How many cells' modules are in use. */
  get size(): number {
    return this.#cells.size;
  }

  close(): void {
    this.#home?.remove();
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }
  /** All cells' names, the newest last. */
  get names(): string[] {
    return [...this.#names.keys()];
  }
  /** The cell that has declared a name last. */
  cellOf(name: string): number | undefined {
    return this.#names.get(name)?.cell;
  }
  /** What a name is of earlier cells'. */
  kindOf(name: string): DeclaredKind | undefined {
    return this.#names.get(name)?.declared.kind;
  }
  /** Earlier cells' names that a cell mentions. */
  carried(cell: CellCode): string[] {
    return [...cell.references].filter((name) => this.#names.has(name));
  }

  /** The line before a cell's own first line. */
  prelude(names: string[]): string {
    const cells = new Set<number>();
    let taken = "";
    for (const name of names) {
      const { cell, declared } = this.#names.get(name)!;
      const { kind } = declared;
      cells.add(cell);
      // `const X = …; type X = …`: only an import carries both.
      if (!declared.type && (kind === "let" || kind === "const" || kind === "var")) {
        taken += ` declare ${kind === "const" ? "const" : "let"} ${name}: typeof __cell${cell}.${name};`;
      } else taken += ` import ${name} = __cell${cell}.${name};`;
    }
    const modules = [...cells].map((cell) => `__cell${cell}`).join(", ");
    // The last semicolon is a statement: right after an import, the server would complete an import clause only.
    return `import { ${modules} } from ${this.#namesModule};${taken} ;\n`;
  }

  /**
   * Fills a module with an accepted cell and makes its names the newest. `module` is its text with a prelude of the names
   * that it takes from others.
   */
  add(source: string, cell: CellCode, module: (carried: string[]) => string): void {
    const { parts, needs } = this.#addedTo(cell, source);
    const mentioned = [...cell.references, ...cell.declared.map(({ name }) => name), ...needs];
    const carried = [...new Set([...this.carried(cell), ...needs])];
    const exported = cell.declared.filter((each) => !each.exported).map((each) => each.name);
    const text = `${module(carried)}${parts}\nexport { ${exported.join(", ")} };\n`;
    // A cell that is run again as it was keeps its module: its classes are the ones that earlier cells know.
    const same = this.#texts.get(text);
    const number = same ?? this.#fillFree(text, hasImports(source) || cell.jsx !== undefined);
    const uses = new Set(carried.map((name) => this.#names.get(name)!.cell));
    if (same === undefined) {
      for (const from of uses) this.#cells.get(from)!.users++;
      // What is said of types everywhere stays, whether or not a name leads there.
      this.#cells.set(number, { newest: cell.isAmbient ? 1 : 0, users: 0, uses: [...uses], text });
    }
    const own = this.#cells.get(number)!;
    const left = new Set<number>();
    for (const declared of cell.declared) {
      const before = this.#names.get(declared.name);
      if (before?.cell === number) continue;
      if (before) {
        this.#cells.get(before.cell)!.newest--;
        left.add(before.cell);
      }
      // Deleted first, so that the newest names come last.
      this.#names.delete(declared.name);
      const parts = this.#partsOf(declared, source, before);
      this.#names.set(declared.name, {
        cell: number,
        declared,
        parts,
        needs: parts.length > 0 ? mentioned : [],
      });
      own.newest++;
    }
    for (const each of left) this.#release(each);
  }

  /** What earlier cells have declared of the names that a cell adds to, and the names that they need for it. */
  #addedTo(cell: CellCode, source: string): { parts: string; needs: string[] } {
    const own = new Set(cell.declared.map(({ name }) => name));
    const needs: string[] = [];
    let parts = "";
    for (const { name, adds, exported, places } of cell.declared) {
      const before = adds ? this.#names.get(name) : undefined;
      if (!before) continue;
      needs.push(...before.needs.filter((each) => !own.has(each) && this.#names.has(each)));
      const again = new Set(places.map(([start, end]) => source.slice(start, end)));
      for (const part of before.parts)
        if (!again.has(part)) parts += `\n;${exported ? "export " : ""}${part}`;
    }
    return { parts, needs };
  }

  #partsOf({ places, adds }: Declared, source: string, before: Name | undefined): string[] {
    const parts = places.map(([start, end]) => source.slice(start, end));
    return adds && before ? [...new Set([...before.parts, ...parts])].slice(-mostParts) : parts;
  }

  /** The module that names all cells' modules; `files`: those that are files too. */
  namesText(files: boolean): string {
    let text = "export {};\n";
    for (const [number, { folder, name, open }] of this.#modules.entries()) {
      if (open || files) text += `export * as __cell${number} from ${JSON.stringify(`${folder}/${name}`)};\n`;
    }
    return text;
  }

  /** More empty modules for cells: this rebuilds the program, so they come by the dozen. */
  #addModules(kind: "open" | "files", count: number): void {
    const open = kind === "open";
    const folder = open ? this.#folder : this.#home!.path;
    for (let i = 0; i < count; i++) {
      const number = this.#modules.length;
      const name = `${prefix}_${number}`;
      this.#modules.push({ folder, name, open });
      if (!open) this.#home!.write(`${name}.ts`, this.prelude([]));
      // The lowest numbers go first: they come off the end.
      this.#free[kind].unshift(number);
    }
    this.#server.change(documentOf("names"), this.namesText(true));
    if (!open) return;
    for (const number of this.#free.open)
      this.#server.change(`${this.#modules[number].name}.ts`, this.prelude([]));
  }

  #fillFree(text: string, imports: boolean): number {
    const kind = !this.#home || imports ? "open" : "files";
    if (this.#free[kind].length === 0) this.#addModules(kind, kind === "open" ? openModules : fileModules);
    const number = this.#free[kind].pop()!;
    this.#texts.set(text, number);
    this.#fill(number, text);
    this.#server.settle(documentOf("cell"));
    return number;
  }

  #fill(number: number, text: string): void {
    const { folder, name, open } = this.#modules[number];
    if (open) {
      this.#server.change(`${name}.ts`, text);
      return;
    }
    this.#home!.write(`${name}.ts`, text);
    this.#files.changed([`${folder}/${name}.ts`]);
  }

  /** Empties a cell's module when no name leads to it any more, and those that only it used. */
  #release(number: number): void {
    const cell = this.#cells.get(number);
    if (!cell || cell.newest > 0 || cell.users > 0) return;
    this.#cells.delete(number);
    this.#texts.delete(cell.text);
    this.#free[this.#modules[number].open ? "open" : "files"].push(number);
    for (const from of cell.uses) {
      const used = this.#cells.get(from);
      if (!used) continue;
      used.users--;
      this.#release(from);
    }
  }
}
