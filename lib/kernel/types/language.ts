// Types for cells: diagnostics, completion and hover from a language server: TypeScript's native one on a machine, one in a
// worker on a page.
//
// Each accepted cell is a module that exists only in the server's memory and exports the names it declares. A later
// cell takes them in on a line before its own: `import C = __cell3.C` for what may also be a type, and
// `declare let a: typeof __cell4.a` for variables, because a cell may assign to an earlier cell's variable.
//
// What makes it fast: the server answers in a millisecond or two when one document's text has changed, and needs ten
// to forty times that when a document's list of imported modules has, because then it builds its program anew. So
// every cell imports the same one module, `__slimlab_names`, which never changes: it names all cells' modules, those
// still empty too. An accepted cell fills an empty module; one whose names are all redeclared is free for another.
//
// Opening a document rebuilds the program too. So modules are files in a folder of their own, which the server reads
// without opening them; only cells with imports are documents in the notebook's folder, where imports are looked up.
import type { CellCode } from "../cell/code.ts";
import { thinned } from "../cell/data.ts";
import { jsxOptions, jsxPragmas, jsxSettings } from "../cell/jsx.ts";
import { leadingComments } from "../cell/tree.ts";
import type { Completions, Inspection } from "../protocol/host.ts";
import { Ambient } from "./ambient.ts";
import { NoAnswer, ServerDied } from "./client.ts";
import { type CompletionAnswer, completionsOf } from "./completion.ts";
import {
  cleaned,
  type Diagnostic,
  isDeferred,
  isError,
  isMeant,
  isUnknownName,
  unchecked,
} from "./diagnostics.ts";
import type { Ground, WatchedFiles } from "./ground.ts";
import { Inspector } from "./inspection.ts";
import { CellModules } from "./modules.ts";
import {
  ambientName,
  type CellKind,
  cellKinds,
  configName,
  documentOf,
  globalsName,
  jsxDocumentOf,
  type ProjectSettings,
} from "./project.ts";
import { declaredRoughly } from "./rough.ts";
import { TypeServer } from "./server.ts";
import {
  columnIn,
  hasImports,
  hasNoCheck,
  inParentheses,
  plain,
  positionAt,
  typeText,
  withGlobals,
  wordBefore,
} from "./text.ts";
import { Whole } from "./whole.ts";

export interface LanguageServiceOptions {
  /** Where the notebook is, and what answers there. */
  ground: Ground;
  /** Cells are JavaScript: completion and inspection without type errors. */
  javascript?: boolean;
  /** Milliseconds after which a cell counts as unchecked. Default 15,000. */
  timeout?: number;
}

const cellDocument = documentOf("cell");
const namesDocument = documentOf("names");

/** Answers about cells' types. Nothing here throws for what a server does: it is restarted with its documents. */
export class LanguageService {
  readonly #ground: Ground;
  readonly #javascript: boolean;
  readonly #server: TypeServer;
  readonly #files: WatchedFiles;
  readonly #modules: CellModules;
  readonly #inspector: Inspector;
  #ambient = new Ambient();
  #whole = new Whole();
  #checked: { source: string; cell: CellCode } | undefined;
  readonly #settings: ProjectSettings = { jsx: 0 };
  /** Ways of compiling JSX, as the comments that say them. */
  readonly #jsxWays: string[] = [];

  constructor(options: LanguageServiceOptions) {
    this.#ground = options.ground;
    this.#javascript = options.javascript ?? false;
    this.#server = new TypeServer({
      ground: this.#ground,
      timeout: options.timeout ?? 15_000,
      first: () =>
        new Map([
          // All of them belong to it, itself included: for one that does not, the server would make another project.
          [
            configName,
            JSON.stringify({
              compilerOptions: { noLib: true, types: [], jsx: "preserve", resolveJsonModule: true },
              files: [...this.#server.documents.keys()],
            }),
          ],
          [namesDocument, this.#modules.namesText(false)],
        ]),
    });
    this.#files = this.#ground.watch((changes) => this.#server.filesChanged(changes));
    this.#configure();
    this.#server.change(globalsName, this.#ground.globals);
    this.#server.change(ambientName, this.#ambient.text);
    this.#modules = new CellModules(this.#ground, this.#server, this.#files);
    this.#inspector = new Inspector(this.#ground, this.#server, this.#modules);
    for (const kind of cellKinds) this.#server.change(documentOf(kind), this.#modules.prelude([]));
  }

  #configure(): void {
    this.#server.change(configName, JSON.stringify(this.#ground.project(this.#settings)));
  }

  /**
   * Starts the server, unless it has been started, and loads the standard library's types; answers when it is warm. Calls
   * need not wait for it.
   */
  async start(): Promise<void> {
    this.#ground.sweep();
    await this.#server.start();
    await this.#server.diagnostics(cellDocument).catch(() => undefined);
  }

  /** Has the server read modules before the first cell that imports them is there. */
  readAhead(modules: readonly string[]): void {
    const text = modules.map((name) => `import ${JSON.stringify(name)};\n`).join("");
    this.#server.change(documentOf("ahead"), text);
    this.#settings.hasAhead = true;
    this.#configure();
    if (this.#server.isLive) this.#server.diagnostics(cellDocument).catch(() => undefined);
  }

  /** Resolves when the server answers; rejects with NoAnswer where it does not. */
  started(): Promise<void> {
    return this.#server.started();
  }

  /** Problems in a cell that is about to run. A cell that could not be checked has one warning that says why. */
  async check(source: string, cell: CellCode): Promise<Diagnostic[]> {
    this.#checked = { source, cell };
    this.#heed(source, cell);
    if (this.#javascript || hasNoCheck(source)) return [];
    this.#files.watchImports(source);
    // A server that dies comes back, so the second try may well succeed.
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#server.started();
        return (await this.#problems(source, cell)).map((each) =>
          cleaned(each, source, (name) => this.#modules.has(name)),
        );
      } catch (error) {
        if (error instanceof ServerDied && attempt === 1) continue;
        // A server that hangs would hold up every cell to come.
        if (error instanceof NoAnswer && !(error instanceof ServerDied) && this.#server.isLive)
          this.#server.replace(error.message);
        return [unchecked(error)];
      }
    }
  }

  async #problems(source: string, cell: CellCode): Promise<Diagnostic[]> {
    const carried = this.#modules.carried(cell);
    const check = () => this.#diagnostics("cell", this.#module(carried, source, cell), source, cell);
    let found = await check();
    if (this.#ambient.declareModules(found, source, cell)) {
      this.#server.change(ambientName, this.#ambient.text);
      found = await check();
    }
    const own = new Map(cell.declared.map(({ name, kind }) => [name, kind]));
    const isGlobal = (name: string) =>
      /^(var|function)$/.test(own.get(name) ?? this.#modules.kindOf(name) ?? "");
    const problems = found.filter(
      (each) => isMeant(each, source, cell, carried, isGlobal) && !this.#whole.isJsonDefault(each, source),
    );
    return problems.some(isError) ? this.#again(problems, source, cell) : problems;
  }

  /** Problems in the cell's own lines: those before them, the prelude's and other cells', are left out. */
  async #diagnostics(
    kind: CellKind,
    text: string,
    source: string,
    cell: CellCode,
    before = 0,
  ): Promise<Diagnostic[]> {
    const pragmas = cell.jsx && jsxPragmas(cell.jsx.settings);
    const name = this.#document(kind, pragmas);
    // (A comment that says how JSX is compiled counts at a file's start only.)
    this.#server.change(name, (pragmas ?? "") + text);
    const found = await this.#server.diagnostics(name);
    return found.flatMap((each) => {
      const line = each.line - before;
      if (line < 1) return [];
      const endLine = each.endLine - before;
      const column = columnIn(source, line, each.column, cell);
      return [{ ...each, line, column, endLine, endColumn: columnIn(source, endLine, each.endColumn, cell) }];
    });
  }

  /**
   * The document for a cell, without JSX or with: the first of its way makes it. (The server does not look at such comments
   * again when a document changes.)
   */
  #document(kind: CellKind, pragmas: string | undefined): string {
    if (pragmas === undefined) return documentOf(kind);
    let way = this.#jsxWays.indexOf(pragmas);
    if (way < 0) {
      way = this.#jsxWays.push(pragmas) - 1;
      // (The project first, as they belong to it.)
      this.#settings.jsx = this.#jsxWays.length;
      this.#configure();
      for (const each of cellKinds) this.#server.change(jsxDocumentOf(each, way), `${pragmas}\n`);
    }
    return jsxDocumentOf(kind, way);
  }

  /** What a cell says to the checker as a whole; `// @ts-strict false` counts for the rest of the notebook. */
  #heed(source: string, cell: CellCode): void {
    const strict = /\/\/+\s*@ts-strict\b\s*(true|on|false|off)?/.exec(leadingComments(source));
    if (strict) {
      this.#settings.isStrict = !/false|off/.test(strict[1] ?? "");
      this.#configure();
    }
    this.#ambient.heed(source, cell);
    this.#server.change(ambientName, this.#ambient.text);
  }

  /**
   * A second opinion on a cell with errors. Cells are modules to the server, and between modules TypeScript forgets what it
   * has found out: that a variable has been assigned to, what a list has been filled with, that a class was declared anew
   * as it was. What it accepts where all cells so far are one file is right.
   */
  async #again(problems: Diagnostic[], source: string, cell: CellCode): Promise<Diagnostic[]> {
    const whole = this.#whole.with(source, cell, (names) =>
      this.#modules.prelude([...names].filter((name) => this.#modules.has(name))),
    );
    let left = problems;
    if (whole) {
      const found = await this.#diagnostics("whole", whole.text, source, cell, whole.lines);
      const places = new Set(found.map(({ line, column }) => `${line}:${column}`));
      left = problems.filter((each) => !isError(each) || places.has(`${each.line}:${each.column}`));
    }
    // What a function names may be declared before it is called: whether it is cannot be known here.
    return left.map((each) =>
      isUnknownName(each) && isDeferred(each, source, cell) ? { ...each, severity: "warning" } : each,
    );
  }

  /** A cell as the server sees it: what it takes from others, and its text. */
  #module(carried: string[], source: string, cell: CellCode): string {
    const prelude = this.#modules.prelude(carried);
    const text = withGlobals(this.#ambient.without(source, plain(source), cell), cell);
    return cell.isObject ? `${prelude.slice(0, -1)} ${inParentheses(text)}` : prelude + text;
  }

  /**
   * Makes the names of the last checked cell visible to later ones: call it when the cell has run, wholly or in part.
   * Without a check (checking is off), give the cell itself.
   */
  accept(source?: string, cell?: CellCode): void {
    const accepted = source !== undefined && cell ? { source, cell } : this.#checked;
    this.#checked = undefined;
    if (!accepted) return;
    const { source: text, cell: code } = accepted;
    if (code.declared.length > 0 || code.isAmbient)
      this.#modules.add(text, code, (carried) => this.#module(carried, typeText(text, code), code));
    if (!this.#javascript) this.#whole.add(text, code);
    // A cell's own imports would make the next cell's list of modules differ: that is taken in now, while this one runs.
    if (hasImports(text)) {
      this.#server.change(cellDocument, this.#modules.prelude([]));
      this.#server.settle(cellDocument);
    }
  }

  /** Completions at a place in a cell that is being written. */
  async complete(source: string, cursor: number): Promise<Completions> {
    const word = wordBefore(source, cursor);
    try {
      await this.#server.started();
      const { name } = this.#edit(source, cursor, word);
      const answer = await this.#server.requestAt<CompletionAnswer>(
        "textDocument/completion",
        name,
        positionAt(source, cursor),
        { context: { triggerKind: 1 } },
      );
      return await completionsOf(answer, source, cursor, word, this.#server);
    } catch {
      return { matches: [], cursorStart: cursor - word.length, cursorEnd: cursor, metadata: {} };
    }
  }

  /**
   * The type and the documentation of what stands at a place, or the signature of the call whose argument stands there.
   * With `detail` 1 (`name??` in consoles) the source of its declaration as well.
   */
  async inspect(source: string, cursor: number, detail = 0): Promise<Inspection | undefined> {
    try {
      await this.#server.started();
      const { name, first } = this.#edit(source, cursor);
      return await this.#inspector.inspect(name, first, source, cursor, detail);
    } catch {
      return undefined;
    }
  }

  /** Makes a cell that is being written a document, with a line before its own. */
  #edit(source: string, cursor: number, word = ""): { name: string; first: string } {
    const { names, jsx } = declaredRoughly(source, cursor);
    const options = jsxOptions(this.#ground.compilerOptions());
    const isKnown = (each: string) => names.has(each) || this.#modules.has(each);
    const pragmas = jsx ? jsxPragmas(jsxSettings(source, options, isKnown)) : undefined;
    const name = this.#document("edit", pragmas);
    const first = (pragmas ?? "") + this.#modules.prelude(this.#visible(source, names, word));
    this.#server.change(name, first + thinned(source));
    return { name, first };
  }

  /** Earlier cells' names that are in scope of a cell that declares names of its own. */
  #visible(source: string, own: Set<string>, word: string): string[] {
    const names = this.#modules.names.filter((name) => !own.has(name));
    if (names.length <= 200) return names;
    // Of very many names, those that the cell mentions and those that the word may become.
    const mentioned = new Set(source.match(/[\p{ID_Start}$_][\p{ID_Continue}$]*/gu));
    const start = word.slice(0, 2).toLowerCase();
    return names.filter((name) => mentioned.has(name) || (start && name.toLowerCase().startsWith(start)));
  }

  /** The names of all cells are gone. */
  forget(): void {
    this.#checked = undefined;
    this.#modules.forget();
    this.#whole = new Whole();
    this.#ambient = new Ambient();
    this.#server.change(ambientName, this.#ambient.text);
    this.#settings.isStrict = undefined;
    this.#configure();
  }

  /** Whether it answers at once. */
  get isLive(): boolean {
    return this.#server.isLive;
  }

  /** Whether it is live and nothing is asked of it. */
  get isIdle(): boolean {
    return this.#server.isIdle;
  }

  /** Tells that files have changed on disk, so that cells see their new types. */
  filesChanged(paths: string[]): void {
    this.#files.changed(paths);
  }

  /** How many documents the server holds, and its process: for tests and figures. */
  get state(): { documents: number; cells: number; pid: number | undefined } {
    return {
      documents: this.#server.documents.size,
      cells: this.#modules.size,
      pid: this.#server.pid,
    };
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#files.close();
    this.#modules.close();
  }
}
