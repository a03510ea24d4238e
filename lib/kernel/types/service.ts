// A language server that is TypeScript's own service, the one in JavaScript: for pages, where the native one cannot run. It
// answers the requests that `LanguageService` makes of a server, and knows files as texts.
import type ts from "typescript-js";
import { completionItem, hoverOf, rangeOf, type SignatureAnswer, signatureOf } from "./answers.ts";
import type { ServerDiagnostic } from "./diagnostics.ts";
import { type Library, libraryFolders, pathOf, uriOf } from "./library.ts";
import { configName } from "./project.ts";
import type { Position } from "./text.ts";
import { type TranspileOptions, transpile } from "./transpile.ts";

type TypeScript = typeof ts;

interface Document {
  version: number;
  snapshot: ts.IScriptSnapshot;
}

interface AtPlace {
  textDocument: { uri: string };
  position: Position;
}

interface Config {
  compilerOptions: Record<string, unknown>;
  files: string[];
}

const preferences: ts.UserPreferences = {
  includeCompletionsForModuleExports: false,
  includeCompletionsWithInsertText: true,
  includeAutomaticOptionalChainCompletions: true,
};

export class Service {
  readonly #ts: TypeScript;
  readonly #library: Map<string, string>;
  readonly #roots: string[];
  readonly #folders = new Set<string>();
  readonly #snapshots = new Map<string, ts.IScriptSnapshot>();
  readonly #documents = new Map<string, Document>();
  readonly #service: ts.LanguageService;
  #options: ts.CompilerOptions = {};
  /** Where modules were found: each change of a document makes a program, which would look for all of them again. */
  #found: ts.ModuleResolutionCache | undefined;
  #files: string[] = [];
  #version = 0;

  constructor(typescript: TypeScript, { files, roots }: Library) {
    this.#ts = typescript;
    this.#library = new Map(Object.entries(files));
    this.#roots = roots;
    for (const path of this.#library.keys()) this.#addFolders(path);
    this.#service = typescript.createLanguageService(this.#host());
  }

  #host(): ts.LanguageServiceHost {
    const has = (path: string) => this.#documents.has(path) || this.#library.has(path);
    const files = {
      fileExists: has,
      readFile: (path: string) => this.read(path),
      directoryExists: (path: string) => this.#folders.has(path) || path === "",
      getDirectories: () => [],
      realpath: (path: string) => path,
      getCurrentDirectory: () => "/",
      useCaseSensitiveFileNames: () => true,
    };
    return {
      ...files,
      getCompilationSettings: () => this.#options,
      getScriptFileNames: () => this.#files,
      getScriptVersion: (path) => String(this.#documents.get(path)?.version ?? 0),
      getScriptSnapshot: (path) => this.#documents.get(path)?.snapshot ?? this.#snapshot(path),
      getProjectVersion: () => String(this.#version),
      getDefaultLibFileName: () => `${libraryFolders.standard}/lib.esnext.full.d.ts`,
      // (Not among the host's declared functions: a service without it looks for each folder's package.json again.)
      ...({ getModuleResolutionCache: () => this.#found } as object),
      resolveModuleNameLiterals: (literals, from, redirected, options, source) =>
        literals.map((literal) => {
          const mode = this.#ts.getModeForUsageLocation(source, literal, options);
          return this.#ts.resolveModuleName(
            literal.text,
            from,
            options,
            files,
            this.#found,
            redirected,
            mode,
          );
        }),
    };
  }

  #snapshot(path: string): ts.IScriptSnapshot | undefined {
    const text = this.#library.get(path);
    if (text === undefined) return undefined;
    let snapshot = this.#snapshots.get(path);
    if (!snapshot) {
      snapshot = this.#ts.ScriptSnapshot.fromString(text);
      this.#snapshots.set(path, snapshot);
    }
    return snapshot;
  }

  #addFolders(path: string): void {
    for (let at = folderOf(path); at !== "" && !this.#folders.has(at); at = folderOf(at))
      this.#folders.add(at);
  }

  /** A file's text. */
  read(path: string): string | undefined {
    const document = this.#documents.get(path)?.snapshot;
    return document ? document.getText(0, document.getLength()) : this.#library.get(path);
  }

  /** Takes in what a message without an answer says. */
  notify(method: string, params: unknown): void {
    if (method !== "textDocument/didOpen" && method !== "textDocument/didChange") return;
    const { textDocument, contentChanges } = params as {
      textDocument: { uri: string; text?: string };
      contentChanges?: { text: string }[];
    };
    const text = contentChanges?.at(-1)?.text ?? textDocument.text ?? "";
    const path = pathOf(textDocument.uri);
    this.#version++;
    this.#addFolders(path);
    if (path.endsWith(`/${configName}`)) this.#configure(JSON.parse(text) as Config, folderOf(path));
    else
      this.#documents.set(path, {
        version: this.#version,
        snapshot: this.#ts.ScriptSnapshot.fromString(text),
      });
  }

  #configure({ compilerOptions, files }: Config, folder: string): void {
    const { options, errors } = this.#ts.convertCompilerOptionsFromJson(compilerOptions, folder, configName);
    if (errors.length > 0) throw new Error(this.#ts.flattenDiagnosticMessageText(errors[0].messageText, " "));
    this.#options = options;
    this.#found = this.#ts.createModuleResolutionCache("/", (path) => path, options);
    this.#files = [
      ...files.map((name) => (name.startsWith("/") ? name : `${folder}/${name}`)),
      ...this.#roots,
    ];
  }

  /** Answers a request. */
  request(method: string, params: unknown): unknown {
    const place = params as AtPlace;
    switch (method) {
      case "textDocument/diagnostic":
        return { items: this.#diagnostics(pathOf(place.textDocument.uri)) };
      case "textDocument/completion":
        return this.#completion(place);
      case "textDocument/hover":
        return this.#at(place, (path, offset) => {
          const info = this.#service.getQuickInfoAtPosition(path, offset);
          return info ? { contents: { kind: "markdown", value: hoverOf(info) } } : null;
        });
      case "textDocument/signatureHelp":
        return this.#at(place, (path, offset) => this.#signature(path, offset));
      case "textDocument/definition":
        return this.#at(place, (path, offset) => this.#definition(path, offset));
      case "workspace/symbol":
        return []; // Only the native server has a use for the question: see server.ts.
      case "slimlab/read":
        return this.read((params as { path: string }).path) ?? null;
      case "slimlab/transpile": {
        const { text, options } = params as { text: string; options: TranspileOptions };
        return transpile(this.#ts, text, options);
      }
      case "custom/projectInfo":
        this.#service.getProgram();
        return null;
      default:
        throw new Error(`${method}: not a request that this server knows`);
    }
  }

  #source(path: string): ts.SourceFile {
    const source = this.#service.getProgram()?.getSourceFile(path);
    if (!source) throw new Error(`${path}: no document of this server's`);
    return source;
  }

  #at<T>({ textDocument, position }: AtPlace, answer: (path: string, offset: number) => T): T {
    const path = pathOf(textDocument.uri);
    const { line, character } = position;
    return answer(path, this.#ts.getPositionOfLineAndCharacter(this.#source(path), line, character));
  }

  #diagnostics(path: string): ServerDiagnostic[] {
    const source = this.#source(path);
    const found = [
      ...this.#service.getSyntacticDiagnostics(path),
      ...this.#service.getSemanticDiagnostics(path),
    ];
    const text = (message: string | ts.DiagnosticMessageChain) =>
      this.#ts.flattenDiagnosticMessageText(message, "\n");
    return found.map(({ start = 0, length = 0, category, code, messageText, relatedInformation }) => ({
      range: rangeOf(source, start, start + length),
      severity: category === this.#ts.DiagnosticCategory.Error ? 1 : 2,
      code,
      message: text(messageText),
      relatedInformation: relatedInformation?.map((each) => ({ message: text(each.messageText) })),
    }));
  }

  #completion(place: AtPlace): object | null {
    return this.#at(place, (path, offset) => {
      const found = this.#service.getCompletionsAtPosition(path, offset, preferences);
      if (!found) return null;
      const source = this.#source(path);
      const span = found.optionalReplacementSpan;
      return {
        // What is typed is replaced up to the cursor.
        itemDefaults: { editRange: span && rangeOf(source, span.start, Math.max(span.start, offset)) },
        items: found.entries.map((entry) => completionItem(entry, source)),
      };
    });
  }

  #signature(path: string, offset: number): SignatureAnswer | null {
    const help = this.#service.getSignatureHelpItems(path, offset, undefined);
    if (!help) return null;
    return { signatures: help.items.map(signatureOf), activeSignature: help.selectedItemIndex };
  }

  #definition(path: string, offset: number): object[] | null {
    const found = this.#service.getDefinitionAtPosition(path, offset);
    return (
      found?.map(({ fileName, textSpan, contextSpan = textSpan }) => ({
        targetUri: uriOf(fileName),
        targetRange: rangeOf(
          this.#source(fileName),
          contextSpan.start,
          contextSpan.start + contextSpan.length,
        ),
      })) ?? null
    );
  }
}

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));
