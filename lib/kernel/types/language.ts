// Types for cells: diagnostics, completion and hover from TypeScript's native language server.
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
import {
  existsSync,
  type FSWatcher,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  watch,
  writeFileSync,
} from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { packageRoot } from "../../util/files.ts";
import type { CellCode, Declared, DeclaredKind } from "../cell/code.ts";
import { hintForName } from "../cell/hints.ts";
import { declaredNames } from "../cell/syntax.ts";
import { pathsOf, projectOptions } from "../cell/tsconfig.ts";
import type { Completions, Inspection } from "../protocol/host.ts";
import type { TypedMatch } from "../protocol/reference.ts";
import { filesOfTypes } from "../run/resolve.ts";
import { globalTypes } from "./globals.ts";
import { findServer, LspClient, NoAnswer, ServerDied } from "./lsp.ts";

/** A problem in a cell. Lines and columns count from 1, columns in UTF-16 units. */
export interface Diagnostic {
  line: number;
  column: number;
  endLine: number;
  endColumn: number;
  /** TypeScript's error number; 0 when the cell could not be checked. */
  code: number;
  message: string;
  severity: "error" | "warning";
}

export interface LanguageServiceOptions {
  /** The notebook's folder: where relative imports and node_modules are looked up. */
  folder: string;
  /** Cells are JavaScript: completion and inspection without type errors. */
  javascript?: boolean;
  /** Milliseconds after which a cell counts as unchecked. Default 15,000. */
  timeout?: number;
}

interface Position {
  line: number;
  character: number;
}
interface Range {
  start: Position;
  end: Position;
}

interface CompletionItem {
  label: string;
  kind?: number;
  sortText?: string;
  filterText?: string;
  insertText?: string;
  detail?: string;
  textEdit?: { newText: string; range?: Range; insert?: Range };
  data?: unknown;
}

interface ItemDefaults {
  data?: unknown;
  editRange?: Range | { insert: Range; replace: Range };
}

interface Name {
  cell: number;
  declared: Declared;
}

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

const configName = "tsconfig.__slimlab.json";
const prefix = "__slimlab";
const globalsName = `${prefix}_globals.d.ts`;
const ambientName = `${prefix}_ambient.d.ts`;
const homePrefix = "slimlab-types-";
/** Empty modules at the start: for cells without imports (files) and for cells with imports (open documents). */
const fileModules = 256;
const openModules = 24;

/** Declarations of one name in two cells that make one thing of both. */
const addsUp = new Set(["namespace namespace", "enum enum", "enum namespace", "class interface"]);

/** Errors that make sense in a module and not in a cell. */
const meaningless = new Set([
  1202, // import x = require(): runs
  1203, // export = x: shows x
  2528, // two export default
  2695, // the comma operator's left side: a cell may be written like that to look at values
  6133, // declared and not used: a later cell will
  6192,
  6196,
  6198,
  7016, // a JavaScript package without types: any
  7028, // unused label
]);

/** Answers about cells' types. Nothing here throws for what a server does: it is restarted with its documents. */
export class LanguageService {
  private readonly folder: string;
  private readonly javascript: boolean;
  private readonly timeout: number;
  private client: LspClient | undefined;
  private ready: Promise<void> | undefined;
  private closed = false;
  private restarts: number[] = [];
  private unavailable = "";
  /** The server has been initialised and holds the documents: from then on it hears of changes. */
  private live = false;

  private version = 1;
  private readonly documents = new Map<string, string>();
  private readonly cells = new Map<number, CellModule>();
  /** Modules by what is in them. */
  private readonly texts = new Map<string, number>();
  private readonly names = new Map<string, Name>();
  /** Each module's path without the extension; a cell's number is its place here. */
  private readonly modules: { path: string; open: boolean }[] = [];
  private readonly free = { open: [] as number[], files: [] as number[] };
  private readonly home: string | undefined;
  private readonly namesModule: string;
  private checked: { source: string; cell: CellCode } | undefined;
  /** Cells that have run, the last run of each. */
  private ran: { source: string; cell: CellCode }[] = [];
  /** Declarations for all cells: references as they stand, modules by name. */
  private readonly ambient = new Map<string, string>();
  /** What a cell has said of strictness. */
  private strict: boolean | undefined;
  private readonly watchers = new Map<string, FSWatcher>();
  private readonly watched = new Set<string>();
  /** Of what is watched, the files that are not there (yet). */
  private readonly missing = new Set<string>();

  constructor(options: LanguageServiceOptions) {
    this.folder = resolve(options.folder);
    this.namesModule = JSON.stringify(slashes(join(this.folder, `${prefix}_names`)));
    this.javascript = options.javascript ?? false;
    this.timeout = options.timeout ?? 15_000;
    this.documents.set(configName, JSON.stringify(this.config()));
    this.documents.set(globalsName, globalTypes);
    this.documents.set(ambientName, this.ambientText());
    this.watchFolder(this.folder);
    try {
      this.home = realpathSync(mkdtempSync(join(tmpdir(), `${homePrefix}${process.pid}-`)));
      process.once("exit", this.removeHome);
    } catch {
      // Nowhere to write: every module is an open document, which works and takes longer.
    }
    this.addModules("open", openModules);
    if (this.home) this.addModules("files", fileModules);
    this.documents.set(this.document("cell"), this.prelude([]));
    this.documents.set(this.document("edit"), this.prelude([]));
  }

  /**
   * Starts the server, unless it has been started, and loads the standard library's types; answers when it is warm. Calls
   * need not wait for it.
   */
  async start(): Promise<void> {
    if (!this.ready) {
      void sweep();
      this.ready = this.launch();
    }
    await this.ready;
    await this.diagnostics(this.document("cell")).catch(() => undefined);
  }

  /** Problems in a cell that is about to run. A cell that could not be checked has one warning that says why. */
  async check(source: string, cell: CellCode): Promise<Diagnostic[]> {
    this.checked = { source, cell };
    this.heed(source, cell);
    if (this.javascript || hasNoCheck(source)) return [];
    this.watchImports(source);
    const carried = this.carried(cell);
    const name = this.document("cell");
    // A server that dies comes back, so the second try may well succeed.
    for (let attempt = 1; ; attempt++) {
      try {
        await this.started();
        this.change(name, this.module(carried, source, cell));
        let found = (await this.diagnostics(name)).filter((each) => each.line >= 1);
        if (this.declareModules(found, source, cell)) {
          this.change(name, this.module(carried, source, cell));
          found = (await this.diagnostics(name)).filter((each) => each.line >= 1);
        }
        const problems = found.filter((each) => isMeant(each, source, cell, carried));
        if (!problems.some(isError)) return problems.map((each) => cleaned(each));
        return (await this.again(problems, source, cell)).map((each) => cleaned(each));
      } catch (error) {
        if (error instanceof ServerDied && attempt === 1) continue;
        // A server that hangs would hold up every cell to come.
        if (error instanceof NoAnswer && !(error instanceof ServerDied) && this.live)
          this.replace(error.message);
        return [unchecked(error)];
      }
    }
  }

  /**
   * What a cell says to the checker as a whole: `// @ts-strict false` for the rest of the notebook, and references to
   * libraries and files of types.
   */
  private heed(source: string, cell: CellCode): void {
    const comments = leadingComments(source);
    const strict = /\/\/+\s*@ts-strict\b\s*(true|on|false|off)?/.exec(comments);
    if (strict) {
      this.strict = !/false|off/.test(strict[1] ?? "");
      this.change(configName, JSON.stringify(this.config()));
    }
    for (const [line] of comments.matchAll(/^[ \t]*\/\/\/\s*<reference\s.*$/gm))
      this.ambient.set(line.trim(), line.trim());
    for (const [start, end] of cell.ambientModules) {
      const name = moduleName(source.slice(start, end)) ?? "";
      if (this.ambient.has(name)) this.ambient.set(name, source.slice(start, end));
    }
    this.change(ambientName, this.ambientText());
  }

  /** `declare module "x"` of a module that is not there, or has no types, declares it for all cells. */
  private declareModules(found: Diagnostic[], source: string, cell: CellCode): boolean {
    const size = this.ambient.size;
    const before = this.ambientText();
    for (const { code, line, column } of found) {
      if (code !== 2664 && code !== 2665) continue;
      const at = offsetIn(source, line, column);
      const range = cell.ambientModules.find(([start, end]) => start <= at && at < end);
      const text = range && source.slice(...range);
      const name = text && moduleName(text);
      if (text && name) this.ambient.set(name, text);
    }
    if (this.ambient.size === size && this.ambientText() === before) return false;
    this.change(ambientName, this.ambientText());
    return true;
  }

  private ambientText(): string {
    // References stand first in a file.
    const lines = [...this.ambient.values()].sort(
      (a, b) => Number(b.startsWith("///")) - Number(a.startsWith("///")),
    );
    return `${lines.join("\n")}\n`;
  }

  /**
   * A second opinion on a cell with errors. Cells are modules to the server, and between modules TypeScript forgets what it
   * has found out: that a variable has been assigned to, what a list has been filled with, that a class was declared anew
   * as it was. What it accepts where all cells so far are one file is right.
   */
  private async again(problems: Diagnostic[], source: string, cell: CellCode): Promise<Diagnostic[]> {
    const whole = this.oneFile(source, cell);
    let left = problems;
    if (whole) {
      this.change(this.document("cell"), whole.text);
      const found = await this.diagnostics(this.document("cell"));
      const places = new Set(found.map(({ line, column }) => `${line - whole.lines}:${column}`));
      left = problems.filter((each) => !isError(each) || places.has(`${each.line}:${each.column}`));
    }
    // What a function names may be declared before it is called: whether it is cannot be known here.
    return left.map((each) =>
      isUnknownName(each) && isDeferred(each, source, cell) ? { ...each, severity: "warning" } : each,
    );
  }

  /**
   * The cells that have run and whose names are still theirs, and this one, as one text; `lines` come before the cell's.
   * Names of the other cells are carried as always.
   */
  private oneFile(source: string, cell: CellCode): { text: string; lines: number } | undefined {
    const later = new Map<string, DeclaredKind>(cell.declared.map(({ name, kind }) => [name, kind]));
    const parts: typeof this.ran = [];
    for (const ran of this.ran.toReversed()) {
      const isWhole = ran.cell.declared.every(({ name, kind }) => {
        const again = later.get(name);
        return again === undefined || addsUp.has(`${kind} ${again}`);
      });
      for (const { name, kind } of ran.cell.declared) if (!later.has(name)) later.set(name, kind);
      if (isWhole && !ran.cell.isObject) parts.unshift(ran);
    }
    if (parts.length === 0) return undefined;
    const declared = new Set(cell.declared.map(({ name }) => name));
    const wanted = new Set<string>(cell.references);
    for (const part of parts) {
      for (const { name } of part.cell.declared) declared.add(name);
      for (const name of part.cell.references) wanted.add(name);
    }
    const carried = [...wanted].filter((name) => !declared.has(name) && this.names.has(name));
    const before = `${this.prelude(carried)}${parts.map((part) => `${plain(part.source)}\n;`).join("")}`;
    const [open, close] = cell.isObject ? ["(", "\n)"] : ["", ""];
    // The prelude is a line of its own in the module that was checked first.
    return { text: `${before}${open}\n${plain(source)}${close}`, lines: before.split("\n").length - 1 };
  }

  /** A cell as the server sees it: what it takes from others, and its text. */
  private module(carried: string[], source: string, cell: CellCode): string {
    const prelude = this.prelude(carried);
    let text = plain(source);
    for (const [start, end] of cell.ambientModules) {
      // What is declared for all cells is not declared here once more.
      const declared = source.slice(start, end);
      if (this.ambient.get(moduleName(declared) ?? "") === declared)
        text = text.slice(0, start) + declared.replaceAll(/[^\n]/g, " ") + text.slice(end);
    }
    if (!cell.isObject) return prelude + text;
    return `${prelude.slice(0, -1)} (\n${text}\n)`;
  }

  /**
   * Makes the names of the last checked cell visible to later ones: call it when the cell has run, wholly or in part.
   * Without a check (checking is off), give the cell itself.
   */
  accept(source?: string, cell?: CellCode): void {
    const accepted = source !== undefined && cell ? { source, cell } : this.checked;
    this.checked = undefined;
    if (!accepted) return;
    const { source: text, cell: code } = accepted;
    if (code.declared.length > 0 || code.isAmbient) this.add(text, code);
    this.remember(text, code);
    // A cell's own imports would make the next cell's list of modules differ: that is taken in now, while this one runs.
    if (hasImports(text)) {
      this.change(this.document("cell"), this.prelude([]));
      this.settle();
    }
  }

  /** Keeps what `oneFile` is made of: each cell's last run, as far back as a few hundred kilobytes go. */
  private remember(source: string, cell: CellCode): void {
    if (this.javascript || source.length > 100_000) return;
    this.ran = this.ran.filter((each) => each.source !== source);
    this.ran.push({
      source,
      cell: { ...cell, code: "", map: { ...cell.map, sourcesContent: [], mappings: "" } },
    });
    let size = 0;
    const first = this.ran.findLastIndex((each) => (size += each.source.length) > 300_000);
    this.ran = this.ran.slice(Math.max(0, first + 1, this.ran.length - 500));
  }

  /** Completions at a place in a cell that is being written. */
  async complete(source: string, cursor: number): Promise<Completions> {
    const word = wordBefore(source, cursor);
    const nothing = { matches: [], cursorStart: cursor - word.length, cursorEnd: cursor, metadata: {} };
    try {
      await this.started();
      const name = this.document("edit");
      const line = this.prelude(this.visible(source, cursor, word));
      this.change(name, line + source);
      const textDocument = { uri: this.uri(name) };
      const answer = await this.client!.request<
        { items: CompletionItem[]; itemDefaults?: ItemDefaults } | CompletionItem[] | null
      >(
        "textDocument/completion",
        { textDocument, position: positionAt(source, cursor), context: { triggerKind: 1 } },
        Math.min(this.timeout, 5000),
      );
      if (!answer) return nothing;
      const items = Array.isArray(answer) ? answer : answer.items;
      const defaults = Array.isArray(answer) ? undefined : answer.itemDefaults;
      return await this.completions(source, cursor, word, items, defaults);
    } catch {
      return nothing;
    }
  }

  private async completions(
    source: string,
    cursor: number,
    word: string,
    items: CompletionItem[],
    defaults: ItemDefaults | undefined,
  ): Promise<Completions> {
    // Most items replace the word; `[Symbol.iterator]` would replace the dot before it too, and is left out.
    const shared = defaults?.editRange;
    const usual = shared && "insert" in shared ? shared.insert : shared;
    const rangeOf = (item: CompletionItem) => item.textEdit?.range ?? item.textEdit?.insert ?? usual;
    const starts = new Map<number, number>();
    for (const item of items) {
      const range = rangeOf(item);
      const at = range && range.start.line >= 1 ? offsetAt(source, range.start) : cursor - word.length;
      starts.set(at, (starts.get(at) ?? 0) + 1);
    }
    let start = cursor - word.length;
    for (const [at, count] of starts) if (count > (starts.get(start) ?? 0)) start = at;
    let end = cursor;
    items = items.filter((item) => {
      const range = rangeOf(item);
      if (!range) return start === cursor - word.length;
      end = Math.max(end, offsetAt(source, range.end));
      return offsetAt(source, range.start) === start;
    });
    const typed = source.slice(start, cursor);
    const text = (item: CompletionItem) => item.textEdit?.newText ?? item.insertText ?? item.label;
    const wanted = (item: CompletionItem, sensitive: boolean) => {
      const full = text(item);
      if (full.startsWith(prefix) || /^__cell\d+$/.test(item.label)) return false;
      if (sensitive) return full.startsWith(typed);
      return full.toLowerCase().startsWith(typed.toLowerCase());
    };
    let chosen = items.filter((item) => wanted(item, true));
    if (chosen.length === 0) chosen = items.filter((item) => wanted(item, false));
    chosen.sort((a, b) => compare(a.sortText ?? a.label, b.sortText ?? b.label) || compare(a.label, b.label));
    const unique = new Map<string, CompletionItem>();
    for (const item of chosen) if (!unique.has(text(item))) unique.set(text(item), item);
    const list = [...unique].slice(0, 1000);
    // A signature costs the server work for each item, so it is asked for when only few are left.
    const details =
      list.length <= 8
        ? await this.details(
            list.map(([, item]) => item),
            defaults?.data,
          )
        : [];
    return {
      matches: list.map(([each]) => each),
      cursorStart: start,
      cursorEnd: end,
      metadata: {
        _jupyter_types_experimental: list.map(([each, item], i) => {
          const match: TypedMatch = { start, end, text: each, type: completionType(item.kind) };
          if (details[i]) match.signature = details[i];
          return match;
        }),
      },
    };
  }

  private async details(items: CompletionItem[], data: unknown): Promise<(string | undefined)[]> {
    const answers = items.map((item) =>
      this.client!.request<CompletionItem>(
        "completionItem/resolve",
        { ...item, data: item.data ?? data },
        1000,
      ).then(
        (full) => (full.detail ? withoutAlias(clean(full.detail)) : undefined),
        () => undefined,
      ),
    );
    return Promise.all(answers);
  }

  /**
   * The type and the documentation of what stands at a place, or the signature of the call whose argument stands there.
   * With `detail` 1 (`name??` in consoles) the source of its declaration as well.
   */
  async inspect(source: string, cursor: number, detail = 0): Promise<Inspection | undefined> {
    try {
      await this.started();
      const name = this.document("edit");
      const carried = this.visible(source, cursor);
      const first = this.prelude(carried);
      this.change(name, first + source);
      const word = identifierAt(source, cursor);
      const onWord = /[\p{ID_Continue}$]/u.test(source.charAt(cursor)) ? cursor : cursor - 1;
      const [hover, origin, help, declaration] = await Promise.all([
        word ? this.hover(name, positionAt(source, onWord)) : undefined,
        this.originOf(name, first, word),
        this.signature(name, positionAt(source, cursor)),
        detail > 0 && word ? this.declaration(name, first, word, positionAt(source, onWord)) : undefined,
      ]);
      const parts: string[] = [];
      if (hover) {
        parts.push(hover);
        // A carried variable's documentation is with its declaration: same type, so it is not a local one.
        if (origin && firstBlock(origin) === firstBlock(hover) && origin.length > hover.length)
          parts[0] = origin;
      } else if (help) parts.push(help);
      if (parts.length === 0) return undefined;
      if (declaration) parts.push(`\`\`\`typescript\n${declaration}\n\`\`\``);
      const markdown = parts.join("\n\n");
      return { markdown, plain: plainText(markdown) };
    } catch {
      return undefined;
    }
  }

  private async hover(name: string, position: Position): Promise<string | undefined> {
    const answer = await this.client!.request<{ contents: { value: string } | string } | null>(
      "textDocument/hover",
      { textDocument: { uri: this.uri(name) }, position },
      Math.min(this.timeout, 5000),
    );
    if (!answer) return undefined;
    const { contents } = answer;
    const text = withoutAlias(clean(typeof contents === "string" ? contents : contents.value));
    // "any" and nothing more is what it says of a name that nobody has declared.
    return /^\s*(```\w*\s*any\s*```)?\s*$/.test(text) ? undefined : text;
  }

  /** Hover on the module's name behind a carried variable, which shows the declaration's documentation. */
  private async originOf(name: string, first: string, word: string): Promise<string | undefined> {
    const position = this.behind(first, word);
    return position && this.hover(name, position);
  }

  /** Where the line before a cell names the declaration of a carried variable. */
  private behind(first: string, word: string): Position | undefined {
    const found = word ? this.names.get(word) : undefined;
    if (!found) return undefined;
    const text = `: typeof __cell${found.cell}.${word};`;
    const at = first.indexOf(text);
    return at < 0 ? undefined : { line: 0, character: at + text.length - word.length - 1 };
  }

  /** The source of what a name at a place means. */
  private async declaration(
    name: string,
    first: string,
    word: string,
    position: Position,
  ): Promise<string | undefined> {
    const ask = async (at: Position) => {
      const answer = await this.client!.request<{ targetUri: string; targetRange: Range }[] | null>(
        "textDocument/definition",
        { textDocument: { uri: this.uri(name) }, position: at },
        Math.min(this.timeout, 5000),
      );
      return answer?.[0];
    };
    let target = await ask(position);
    const carried = this.behind(first, word);
    if (carried && target?.targetUri === this.uri(name) && target.targetRange.start.line === 0) {
      target = await ask(carried);
    }
    if (!target) return undefined;
    const path = fileURLToPath(target.targetUri);
    const open = dirname(path) === this.folder ? this.documents.get(basename(path)) : undefined;
    const { start, end } = target.targetRange;
    const lines = (open ?? readFileSync(path, "utf8")).split("\n").slice(start.line, end.line + 1);
    if (lines.length === 0) return undefined;
    lines[lines.length - 1] = lines[lines.length - 1].slice(0, end.character);
    lines[0] = lines[0].slice(start.character);
    if (lines.length > 200) lines.splice(200, lines.length, "…");
    return lines.join("\n");
  }

  private async signature(name: string, position: Position): Promise<string | undefined> {
    const answer = await this.client!.request<{
      signatures: { label: string; documentation?: { value: string } | string }[];
      activeSignature?: number;
    } | null>(
      "textDocument/signatureHelp",
      { textDocument: { uri: this.uri(name) }, position },
      Math.min(this.timeout, 5000),
    );
    if (!answer?.signatures?.length) return undefined;
    const active = answer.signatures[answer.activeSignature ?? 0] ?? answer.signatures[0];
    const others = answer.signatures.length - 1;
    const documentation =
      typeof active.documentation === "string" ? active.documentation : (active.documentation?.value ?? "");
    const more = others > 0 ? `  // and ${others} more overload${others > 1 ? "s" : ""}` : "";
    return `\`\`\`typescript\n${clean(active.label)}${more}\n\`\`\`${documentation ? `\n${clean(documentation)}` : ""}`;
  }

  /** Tells that files have changed on disk, so that cells see their new types. */
  filesChanged(paths: string[]): void {
    if (paths.length === 0) return;
    const changes = paths.map((path) => ({
      uri: pathToFileURL(resolve(this.folder, path)).href,
      type: this.howChanged(resolve(this.folder, path)),
    }));
    if (this.live) this.client!.notify("workspace/didChangeWatchedFiles", { changes });
  }

  /** LSP's number for what became of a file: 1 made, 2 changed, 3 gone. */
  private howChanged(file: string): number {
    if (!existsSync(file)) {
      if (this.watched.has(file)) this.missing.add(file);
      return 3;
    }
    return this.missing.delete(file) ? 1 : 2;
  }

  /** How many documents the server holds, and its process: for tests and figures. */
  get state(): { documents: number; cells: number; pid: number | undefined } {
    return { documents: this.documents.size, cells: this.cells.size, pid: this.client?.pid };
  }

  async close(): Promise<void> {
    this.closed = true;
    this.live = false;
    for (const watcher of this.watchers.values()) watcher.close();
    this.watchers.clear();
    this.client?.kill();
    this.client = undefined;
    process.removeListener("exit", this.removeHome);
    this.removeHome();
  }

  private readonly removeHome = (): void => {
    if (this.home) rmSync(this.home, { recursive: true, force: true });
  };

  // ---- the server ----

  private async started(): Promise<void> {
    if (this.closed) throw new NoAnswer("the language service is closed");
    if (!this.ready) void this.start();
    await this.ready;
    if (!this.live) throw new NoAnswer(this.unavailable || "the language server is not running");
  }

  private async launch(): Promise<void> {
    try {
      const client = new LspClient(findServer(), this.folder);
      this.client = client;
      client.onExit = (reason) => this.restart(reason);
      await client.request(
        "initialize",
        {
          processId: process.pid,
          rootUri: pathToFileURL(this.folder).href,
          capabilities: {
            general: { positionEncodings: ["utf-16"] },
            textDocument: {
              diagnostic: { relatedInformation: true },
              publishDiagnostics: { relatedInformation: true },
              completion: {
                completionItem: { documentationFormat: ["markdown"], snippetSupport: false },
                completionList: { itemDefaults: ["commitCharacters", "editRange", "data"] },
              },
              hover: { contentFormat: ["markdown"] },
              definition: { linkSupport: true },
              signatureHelp: { signatureInformation: { documentationFormat: ["markdown"] } },
            },
          },
          initializationOptions: {
            disablePushDiagnostics: true,
            userPreferences: {
              customConfigFileName: configName,
              suggest: { autoImports: false },
              tsserver: { automaticTypeAcquisition: { enabled: false } },
            },
          },
        },
        Math.max(this.timeout, 15_000),
      );
      client.notify("initialized", {});
      // Each opening rebuilds the program, so documents are opened while there is hardly anything else in it.
      const names = this.document("names");
      const full = new Map([names, configName].map((name) => [name, this.documents.get(name)!]));
      const small = { compilerOptions: { noLib: true, types: [] }, files: [names] };
      this.documents.set(configName, JSON.stringify(small));
      this.documents.set(names, this.namesText(false));
      this.live = true;
      for (const name of new Set([configName, names, ...this.documents.keys()])) {
        this.open(name, this.documents.get(name)!);
      }
      for (const [name, text] of full) this.change(name, text);
    } catch (error) {
      // There is no server for this platform, or it does not start: cells run unchecked.
      this.unavailable = (error as Error).message;
    }
  }

  private replace(reason: string): void {
    this.client!.kill();
    this.restart(reason);
  }

  /** A dead server comes back with its documents, unless it keeps dying. */
  private restart(reason: string): void {
    this.live = false;
    if (this.closed) return;
    const now = Date.now();
    this.restarts = this.restarts.filter((time) => now - time < 60_000);
    this.restarts.push(now);
    if (this.restarts.length > 5) {
      this.unavailable = `the language server keeps ending: ${reason}`;
      return;
    }
    this.ready = this.launch();
  }

  private document(kind: string): string {
    return `${prefix}_${kind}.ts`;
  }

  private uri(name: string): string {
    return pathToFileURL(join(this.folder, name)).href;
  }

  private open(name: string, text: string): void {
    const languageId = name.endsWith(".json") ? "json" : "typescript";
    if (this.live)
      this.client!.notify("textDocument/didOpen", {
        textDocument: { uri: this.uri(name), languageId, version: this.version++, text },
      });
  }

  private change(name: string, text: string): void {
    if (this.documents.get(name) === text) return;
    this.documents.set(name, text);
    if (this.live)
      this.client!.notify("textDocument/didChange", {
        textDocument: { uri: this.uri(name), version: this.version++ },
        contentChanges: [{ text }],
      });
  }

  private async diagnostics(name: string): Promise<Diagnostic[]> {
    const answer = await this.client!.request<{
      items?: {
        range: Range;
        severity?: number;
        code?: number | string;
        message: string;
        relatedInformation?: { message: string }[];
      }[];
    }>("textDocument/diagnostic", { textDocument: { uri: this.uri(name) } }, this.timeout);
    return (answer?.items ?? [])
      .filter((each) => (each.severity ?? 1) <= 2)
      .map((each) => ({
        // The prelude's line is line 0, so the server's count from 0 is the cell's from 1.
        line: each.range.start.line,
        column: each.range.start.character + 1,
        endLine: each.range.end.line,
        endColumn: each.range.end.character + 1,
        code: Number(each.code ?? 0),
        message: [each.message, ...hintsOf(each.relatedInformation)].join(" "),
        severity: each.severity === 2 ? ("warning" as const) : ("error" as const),
      }));
  }

  /**
   * The project that cells belong to, as a tsconfig.json that exists only in the server's memory. The folder's own
   * settings count: what code means (decorators, paths, JSX) and how strict to be, but for what makes no sense between
   * cells. Without any, and without a word of a cell's (`heed`), it is strict.
   */
  private config(): object {
    const require = createRequire(join(this.folder, "noop.js"));
    const files = [this.document("cell"), this.document("edit"), globalsName, ambientName];
    const { file: own, compilerOptions: theirs } = projectOptions(this.folder);
    const listed = (name: string) => {
      const value = theirs[name];
      return Array.isArray(value) ? value.filter((each) => typeof each === "string") : [];
    };
    const compilerOptions: Record<string, unknown> = {
      strict: this.strict ?? theirs.strict ?? true,
      target: "esnext",
      lib: [...listed("lib"), "esnext"],
      module: "preserve",
      moduleResolution: "bundler",
      moduleDetection: "force",
      customConditions: ["node"],
      allowImportingTsExtensions: true,
      resolveJsonModule: true,
      allowJs: true,
      checkJs: false,
      noEmit: true,
      skipLibCheck: true,
      isolatedModules: false,
      verbatimModuleSyntax: false,
      erasableSyntaxOnly: false,
      isolatedDeclarations: false,
      composite: false,
      incremental: false,
      declaration: false,
      declarationMap: false,
      // A project's own package name then means its built types, which belong to the code that runs.
      rootDir: null,
      outDir: null,
      declarationDir: null,
      noUnusedLocals: false,
      noUnusedParameters: false,
      types: [...new Set([...listed("types"), "node"])],
    };
    // The user's own @types/node goes first; slimlab brings one for folders that have none.
    if (!resolved(require, "@types/node/package.json")) {
      compilerOptions.types = listed("types");
      const bundled = createRequire(import.meta.url).resolve("@types/node/package.json");
      files.push(join(dirname(bundled), "index.d.ts"));
    }
    // A notebook outside any project can still import slimlab's modules; inside, the same line lists them to complete.
    const slimlab = resolved(require, "slimlab/package.json");
    // Cells import .tsx files whether or not the folder says how JSX is to be compiled.
    if (theirs.jsx === undefined) compilerOptions.jsx = "preserve";
    const hasPaths = theirs.paths !== undefined;
    if (!hasPaths && (!slimlab || dirname(slimlab) === packageRoot)) {
      compilerOptions.paths = { "slimlab/*": [join(packageRoot, "dist/lib/*/index.d.ts")] };
    }
    // The folder's own declarations count for all its notebooks.
    return { ...(own ? { extends: own } : {}), compilerOptions, files, include: ["./*.d.ts"] };
  }

  // ---- names ----

  /** Earlier cells' names that a cell mentions. */
  private carried(cell: CellCode): string[] {
    const names: string[] = [];
    for (const name of cell.references) if (this.names.has(name)) names.push(name);
    return names;
  }

  /** Earlier cells' names that are in scope of a cell that may not parse yet. */
  private visible(source: string, cursor: number, word = ""): string[] {
    const own = declaredRoughly(source, cursor);
    const names = [...this.names.keys()].filter((name) => !own.has(name));
    if (names.length <= 200) return names;
    // Of very many names, those that the cell mentions and those that the word may become.
    const mentioned = new Set(source.match(/[\p{ID_Start}$_][\p{ID_Continue}$]*/gu));
    const start = word.slice(0, 2).toLowerCase();
    return names.filter((name) => mentioned.has(name) || (start && name.toLowerCase().startsWith(start)));
  }

  /** The line before a cell's own first line. */
  private prelude(names: string[]): string {
    const cells = new Set<number>();
    let taken = "";
    for (const name of names) {
      const { cell, declared } = this.names.get(name)!;
      const { kind } = declared;
      cells.add(cell);
      // `const X = …; type X = …`: only an import carries both.
      if (!declared.type && (kind === "let" || kind === "const" || kind === "var")) {
        taken += ` declare ${kind === "const" ? "const" : "let"} ${name}: typeof __cell${cell}.${name};`;
      } else taken += ` import ${name} = __cell${cell}.${name};`;
    }
    const modules = [...cells].map((cell) => `__cell${cell}`).join(", ");
    // The last semicolon is a statement: right after an import, the server would complete an import clause only.
    return `import { ${modules} } from ${this.namesModule};${taken} ;\n`;
  }

  /** More empty modules for cells: this rebuilds the program, so they come by the dozen. */
  private addModules(kind: "open" | "files", count: number): void {
    for (let i = 0; i < count; i++) {
      const number = this.modules.length;
      const open = kind === "open";
      this.modules.push({ path: join(open ? this.folder : this.home!, `${prefix}_${number}`), open });
      if (!open) writeFileSync(`${this.modules[number].path}.ts`, this.prelude([]));
      // The lowest numbers go first: they come off the end.
      this.free[kind].unshift(number);
    }
    this.change(this.document("names"), this.namesText(true));
    if (kind === "open") {
      for (const number of this.free.open)
        this.change(`${basename(this.modules[number].path)}.ts`, this.prelude([]));
    }
  }

  private namesText(files: boolean): string {
    let text = "export {};\n";
    for (const [number, { path, open }] of this.modules.entries()) {
      if (open || files) text += `export * as __cell${number} from ${JSON.stringify(slashes(path))};\n`;
    }
    return text;
  }

  private fill(number: number, text: string): void {
    const { path, open } = this.modules[number];
    if (open) {
      this.change(`${basename(path)}.ts`, text);
      return;
    }
    try {
      writeFileSync(`${path}.ts`, text);
    } catch {
      // Something cleaned the temporary folder: what the server has read already it keeps.
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(`${path}.ts`, text);
    }
    this.filesChanged([`${path}.ts`]);
  }

  /** Fills a module with an accepted cell and makes its names the newest. */
  private add(source: string, cell: CellCode): void {
    const carried = this.carried(cell);
    const exported = cell.declared.filter((each) => !each.exported).map((each) => each.name);
    const text = `${this.module(carried, source, cell)}\nexport { ${exported.join(", ")} };\n`;
    // A cell that is run again as it was keeps its module: its classes are the ones that earlier cells know.
    const same = this.texts.get(text);
    const number = same ?? this.fillFree(text, source);
    const uses = new Set(carried.map((name) => this.names.get(name)!.cell));
    if (same === undefined) {
      for (const from of uses) this.cells.get(from)!.users++;
      // What is said of types everywhere stays, whether or not a name leads there.
      this.cells.set(number, { newest: cell.isAmbient ? 1 : 0, users: 0, uses: [...uses], text });
    }
    const module = this.cells.get(number)!;
    const left = new Set<number>();
    for (const declared of cell.declared) {
      const before = this.names.get(declared.name);
      if (before?.cell === number) continue;
      if (before) {
        this.cells.get(before.cell)!.newest--;
        left.add(before.cell);
      }
      // Deleted first, so that the newest names come last.
      this.names.delete(declared.name);
      this.names.set(declared.name, { cell: number, declared });
      module.newest++;
    }
    for (const each of left) this.release(each);
  }

  private fillFree(text: string, source: string): number {
    const kind = !this.home || hasImports(source) ? "open" : "files";
    if (this.free[kind].length === 0) this.addModules(kind, kind === "open" ? openModules : fileModules);
    const number = this.free[kind].pop()!;
    this.texts.set(text, number);
    this.fill(number, text);
    this.settle();
    return number;
  }

  /** Empties a cell's module when no name leads to it any more, and those that only it used. */
  private release(number: number): void {
    const cell = this.cells.get(number);
    if (!cell || cell.newest > 0 || cell.users > 0) return;
    this.cells.delete(number);
    this.texts.delete(cell.text);
    this.free[this.modules[number].open ? "open" : "files"].push(number);
    for (const from of cell.uses) {
      const used = this.cells.get(from);
      if (!used) continue;
      used.users--;
      this.release(from);
    }
  }

  /** Has the server take in a change now, while the cell runs, and not together with the next change. */
  private settle(): void {
    if (!this.live) return;
    const textDocument = { uri: this.uri(this.document("cell")) };
    this.client!.request("custom/projectInfo", { textDocument }, this.timeout).catch(() => undefined);
  }

  // ---- the project's own files ----

  /** Watches the files that cells import by relative path, and theirs: an edit shows in the next cell. */
  private watchImports(source: string, folder = this.folder): void {
    const specifiers = /\b(?:from|import|require)\s*\(?\s*["']([^"'\n]+)["']/g;
    for (const [, specifier] of source.matchAll(specifiers)) {
      const isOwn = /^(?:\.{1,2}$|(?:\.{1,2}|slimlab)\/)/.test(specifier);
      const mapped = isOwn ? [] : pathsOf(specifier, this.folder);
      if (!isOwn && mapped.length === 0) continue;
      const built = specifier.startsWith("slimlab/")
        ? join(packageRoot, "dist/lib", specifier.slice(8), "index.d.ts")
        : "";
      const { found, watched } = filesOfTypes(mapped[0] ?? (built || resolve(folder, specifier)));
      const isNew = found !== undefined && !this.watched.has(found);
      for (const each of watched) {
        if (this.watched.size >= 5000) break;
        if (each !== found && !this.watched.has(each)) this.missing.add(each);
        this.watched.add(each);
        this.watchFolder(dirname(each));
      }
      if (isNew && this.watched.size < 5000 && /\.[cm]?[jt]sx?$/.test(found)) {
        try {
          this.watchImports(readFileSync(found, "utf8"), dirname(found));
        } catch {}
      }
    }
  }

  private watchFolder(folder: string): void {
    if (this.watchers.has(folder)) return;
    try {
      const watcher = watch(folder, { persistent: false }, (_event, file) => {
        const path = file === null ? "" : join(folder, String(file));
        const isOwn = basename(path).startsWith(prefix);
        const isAmbient = folder === this.folder && path.endsWith(".d.ts");
        if (isAmbient && !isOwn && !this.watched.has(path)) {
          this.watched.add(path);
          this.missing.add(path);
        }
        if (this.watched.has(path) && !isOwn) this.filesChanged([path]);
      });
      watcher.on("error", () => {});
      this.watchers.set(folder, watcher);
    } catch {}
  }
}

/** Removes what kernels that were killed have left in the temporary folder. */
async function sweep(): Promise<void> {
  const top = tmpdir();
  for (const name of await readdir(top).catch(() => [])) {
    const pid = name.startsWith(homePrefix) ? Number.parseInt(name.slice(homePrefix.length), 10) : 0;
    if (!pid || runs(pid)) continue;
    const path = join(top, name);
    try {
      // Its kernel may run where this process cannot see it (another container): after a day it does not.
      const { mtimeMs } = await stat(path);
      if (Date.now() - mtimeMs > 86_400_000) await rm(path, { recursive: true, force: true });
    } catch {}
  }
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function slashes(path: string): string {
  return path.replaceAll("\\", "/");
}

/** The text may name modules or files, which are looked up from the notebook's folder. */
function hasImports(source: string): boolean {
  return /\b(import|require|from|module)\b|^[ \t]*\/\/\//m.test(source);
}

/** The name in `declare module "name"`. */
function moduleName(text: string): string | undefined {
  return /["'](.*?)["']/.exec(text)?.[1];
}

/** A cell's text without the line that tells a shell what runs it. */
function plain(source: string): string {
  return source.startsWith("#!") ? `//${source.slice(2)}` : source;
}

function isError({ severity }: Diagnostic): boolean {
  return severity === "error";
}

/** Where something in a cell stands, as an offset; lines and columns count from 1. */
function offsetIn(source: string, line: number, column: number): number {
  return offsetAt(source, { line, character: column - 1 });
}

/** Whether a problem is one in a notebook too. */
function isMeant(
  { code, line, column, message }: Diagnostic,
  source: string,
  cell: CellCode,
  carried: string[],
): boolean {
  if (meaningless.has(code)) return false;
  // "Variable 'losses' implicitly has an 'any[]' type": a list that is filled in later cells.
  if ((code === 7005 || code === 7034) && carried.includes(/'([^']+)'/.exec(message)?.[1] ?? ""))
    return false;
  const at = offsetIn(source, line, column);
  // `this` is the global object in a cell, as in a script, and undefined in a module.
  if ((code === 2532 || code === 18048) && /^this\b/.test(source.slice(at, at + 5))) return false;
  // A module that has no types may be given them by a cell: see `heed`.
  if ((code === 2664 || code === 2665) && cell.isAmbient) return false;
  return true;
}

/** "Cannot find name 'x'", in its several forms. */
function isUnknownName({ code }: Diagnostic): boolean {
  return code === 2304 || code === 2552 || code === 2503 || code === 2663 || code === 2662;
}

/** Whether a place is in code that runs when it is called. */
function isDeferred({ line, column }: Diagnostic, source: string, cell: CellCode): boolean {
  const at = offsetIn(source, line, column);
  return cell.deferred.some(([start, end]) => start <= at && at < end);
}

function unchecked(error: unknown): Diagnostic {
  const message = `Types were not checked: ${(error as Error).message}`;
  return { line: 1, column: 1, endLine: 1, endColumn: 1, code: 0, message, severity: "warning" };
}

/** The comments that start a cell. */
function leadingComments(source: string): string {
  return /^(?:\s|\/\/[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*/.exec(source)![0];
}

/** `// @ts-nocheck` in the comments that start a cell. */
function hasNoCheck(source: string): boolean {
  return /\/\/+\s*@ts-nocheck\b/.test(leadingComments(source));
}

/** The message in a notebook's terms, with what to do where that is known. */
function cleaned(diagnostic: Diagnostic): Diagnostic {
  let message = clean(diagnostic.message);
  const { code } = diagnostic;
  if (code === 2304 || code === 2584 || code === 2582 || code === 2580) {
    const hint = hintForName(/'([^']+)'/.exec(message)?.[1] ?? "");
    // TypeScript's own hint would have the reader change a setting that brings the types and not the thing.
    if (hint) message = `${message.replace(/'\. .*$/s, "'.")} ${hint[0].toUpperCase()}${hint.slice(1)}.`;
    else if (code === 2304) message += " Has the cell that declares it been run?";
  }
  const module =
    code === 2307 || code === 2882 ? /'((?:@[^/']+\/)?[^./'][^/']*)[^']*'/.exec(message)?.[1] : undefined;
  if (module && !module.includes(":")) message += ` Is it installed? "npm install ${module}" does it.`;
  if (ofStrictness.has(code))
    message += " (A cell that begins with // @ts-strict false switches strictness off.)";
  return { ...diagnostic, message };
}

/** Errors that only strict checking finds. */
const ofStrictness = new Set([
  2531, 2532, 2533, 2564, 7005, 7006, 7008, 7009, 7010, 7011, 7015, 7016, 7017, 7018, 7019, 7022, 7023, 7024,
  7031, 7032, 7033, 7034, 7041, 7053, 18046, 18047, 18048, 18049,
]);

/** Of what TypeScript says beside an error, what tells the reader to do something: the rest says where things stand. */
function hintsOf(related: { message: string }[] | undefined): string[] {
  const hints = (related ?? [])
    .map(({ message }) => message)
    .filter((text) => /\?$|^(Did you|Try|Consider|An? .* needs)/.test(text));
  return [...new Set(hints)];
}

/** Takes out the names of the documents that stand for cells. */
function clean(text: string): string {
  return text
    .replaceAll(/import\("[^"]*__slimlab_\w+"\)\./g, "")
    .replaceAll(/\b__cell\d+\./g, "")
    .replaceAll(/import\("[^"]*\/node_modules\/((?:@[^/"]+\/)?[^/"]+)[^"]*"\)/g, 'import("$1")')
    .replaceAll(/["'][^"']*__slimlab_\w+["']/g, "an earlier cell");
}

/** "(alias) class C" and the line "import C = …" below it say how the name came here, which nobody asked. */
function withoutAlias(text: string): string {
  return text.replace("(alias) ", "").replaceAll(/\n(?:import|export) [\w$]+(?: = [\w$.]+)?(?=\n```|$)/g, "");
}

function firstBlock(markdown: string): string {
  return (
    /```\w*\n([\s\S]*?)```/
      .exec(markdown)?.[1]
      .replace(/^(?:let|const|var) /, "")
      .trim() ?? ""
  );
}

/** Markdown for a place that shows text only. */
function plainText(markdown: string): string {
  return markdown
    .replaceAll(/```\w*\n?/g, "")
    .replaceAll(/\*\*?([^*\n]+)\*\*?/g, "$1")
    .replaceAll(/\[([^\]\n]+)\]\([^)\n]*\)/g, "$1")
    .replaceAll(/\n{3,}/g, "\n\n")
    .trim();
}

/** Names that a cell under way declares at its top level: all of them where it can be parsed, else at a glance. */
function declaredRoughly(source: string, cursor: number): Set<string> {
  // A word where the cursor is makes many a cell whole: `a.` and `f(x, ` are missing nothing else.
  const filled = `${source.slice(0, cursor)}_${source.slice(cursor)}`;
  const names = declaredNames(source) ?? declaredNames(filled);
  if (names) return names;
  const rough = new Set<string>();
  for (const [, name] of source.matchAll(
    /\b(?:function\*?|class|enum|namespace|type|interface|using)\s+([\p{ID_Start}$_][\p{ID_Continue}$]*)/gu,
  ))
    rough.add(name);
  // After these words stands a name or a pattern, up to its type or its value.
  for (const { index, 0: keyword } of source.matchAll(/\b(?:let|const|var|import)\b/g)) {
    for (const name of patternNames(source.slice(index + keyword.length, index + 1000), keyword === "import"))
      rough.add(name);
  }
  return rough;
}

/** The names that a pattern at the start of a text binds. */
function patternNames(text: string, isImport: boolean): string[] {
  const names: string[] = [];
  let depth = 0;
  const tokens = text.matchAll(/\s+|"[^"]*"|'[^']*'|[\p{ID_Start}$_][\p{ID_Continue}$]*|./gsu);
  let isDefault = false;
  for (const { 0: token, index } of tokens) {
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    else if (token === "," || token.trim() === "") isDefault &&= token.trim() === "";
    else if (token === "=" && depth > 0) isDefault = true;
    else if (/^[\p{ID_Start}$_]/u.test(token)) {
      if (isImport && token === "from") break;
      const isKey = /^\s*(:|as\b)/.test(text.slice(index + token.length));
      if (!isDefault && !(isKey && depth > 0) && token !== "as" && !(isImport && token === "type"))
        names.push(token);
    } else if (depth === 0 && token !== "*" && token !== ",") break;
    if (depth < 0) break;
  }
  return names;
}

function wordBefore(source: string, cursor: number): string {
  return /[\p{ID_Continue}$#]*$/u.exec(source.slice(Math.max(0, cursor - 200), cursor))![0];
}

function identifierAt(source: string, cursor: number): string {
  const before = /[\p{ID_Continue}$]*$/u.exec(source.slice(0, cursor))![0];
  return before + /^[\p{ID_Continue}$]*/u.exec(source.slice(cursor))![0];
}

/** The server's position of an offset in a cell: the prelude's line comes first. */
function positionAt(source: string, offset: number): Position {
  let line = 1;
  let from = 0;
  for (let i = source.indexOf("\n"); i >= 0 && i < offset; i = source.indexOf("\n", i + 1)) {
    line++;
    from = i + 1;
  }
  return { line, character: offset - from };
}

function offsetAt(source: string, position: Position): number {
  let from = 0;
  for (let line = 1; line < position.line; line++) from = source.indexOf("\n", from) + 1;
  return from + position.character;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** JupyterLab's words for LSP's kinds of completion. */
function completionType(kind: number | undefined): string {
  const types: Record<number, string> = {
    2: "method",
    3: "function",
    4: "class",
    5: "property",
    6: "variable",
    7: "class",
    8: "interface",
    9: "module",
    10: "property",
    13: "enum",
    14: "keyword",
    17: "path",
    19: "path",
    20: "enum member",
    21: "constant",
    22: "class",
    25: "type",
  };
  return types[kind ?? 0] ?? "text";
}

function resolved(require: NodeJS.Require, name: string): string | undefined {
  try {
    return require.resolve(name);
  } catch {
    return undefined;
  }
}
