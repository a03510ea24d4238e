// What the server says of a place in a cell: a type and its documentation, a call's signature, a declaration's source.
import type { Inspection } from "../protocol/host.ts";
import type { Ground } from "./ground.ts";
import type { CellModules } from "./modules.ts";
import type { TypeServer } from "./server.ts";
import {
  clean,
  firstBlock,
  identifierAt,
  type Position,
  plainText,
  positionAt,
  type Range,
  withoutAlias,
} from "./text.ts";

export class Inspector {
  readonly #ground: Ground;
  readonly #server: TypeServer;
  readonly #modules: CellModules;

  constructor(ground: Ground, server: TypeServer, modules: CellModules) {
    this.#ground = ground;
    this.#server = server;
    this.#modules = modules;
  }

  /** What is to be said of a place in a document that is a cell behind the line `first`. */
  async inspect(
    name: string,
    first: string,
    source: string,
    cursor: number,
    detail: number,
  ): Promise<Inspection | undefined> {
    const word = identifierAt(source, cursor);
    const onWord = /[\p{ID_Continue}$]/u.test(source.charAt(cursor)) ? cursor : cursor - 1;
    const [hover, origin, help, declaration] = await Promise.all([
      word ? this.#hover(name, positionAt(source, onWord)) : undefined,
      this.#originOf(name, first, word),
      this.#signature(name, positionAt(source, cursor)),
      detail > 0 && word ? this.#declaration(name, first, word, positionAt(source, onWord)) : undefined,
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
  }

  async #hover(name: string, position: Position): Promise<string | undefined> {
    const answer = await this.#server.requestAt<{ contents: { value: string } | string } | null>(
      "textDocument/hover",
      name,
      position,
    );
    if (!answer) return undefined;
    const { contents } = answer;
    const text = withoutAlias(clean(typeof contents === "string" ? contents : contents.value));
    // "any" and nothing more is what it says of a name that nobody has declared.
    return /^\s*(```\w*\s*any\s*```)?\s*$/.test(text) ? undefined : text;
  }

  /** Hover on the module's name behind a carried variable, which shows the declaration's documentation. */
  async #originOf(name: string, first: string, word: string): Promise<string | undefined> {
    const position = this.#behind(first, word);
    return position && this.#hover(name, position);
  }

  /** Where the line before a cell names the declaration of a carried variable. */
  #behind(first: string, word: string): Position | undefined {
    const cell = word ? this.#modules.cellOf(word) : undefined;
    if (cell === undefined) return undefined;
    const text = `: typeof __cell${cell}.${word};`;
    const at = first.indexOf(text);
    return at < 0 ? undefined : { line: 0, character: at + text.length - word.length - 1 };
  }

  /** The source of what a name at a place means. */
  async #declaration(
    name: string,
    first: string,
    word: string,
    position: Position,
  ): Promise<string | undefined> {
    const ask = async (at: Position) => {
      const answer = await this.#server.requestAt<{ targetUri: string; targetRange: Range }[] | null>(
        "textDocument/definition",
        name,
        at,
      );
      return answer?.[0];
    };
    let target = await ask(position);
    const carried = this.#behind(first, word);
    if (carried && target?.targetUri === this.#server.uri(name) && target.targetRange.start.line === 0) {
      target = await ask(carried);
    }
    if (!target) return undefined;
    const path = this.#ground.pathOf(target.targetUri);
    const { folder } = this.#ground;
    const open = path.startsWith(`${folder}/`)
      ? this.#server.documents.get(path.slice(folder.length + 1))
      : undefined;
    const { start, end } = target.targetRange;
    const lines = (open ?? (await this.#ground.read(path))).split("\n").slice(start.line, end.line + 1);
    if (lines.length === 0) return undefined;
    lines[lines.length - 1] = lines[lines.length - 1].slice(0, end.character);
    lines[0] = lines[0].slice(start.character);
    if (lines.length > 200) lines.splice(200, lines.length, "…");
    return lines.join("\n");
  }

  async #signature(name: string, position: Position): Promise<string | undefined> {
    const answer = await this.#server.requestAt<{
      signatures: { label: string; documentation?: { value: string } | string }[];
      activeSignature?: number;
    } | null>("textDocument/signatureHelp", name, position);
    if (!answer?.signatures?.length) return undefined;
    const active = answer.signatures[answer.activeSignature ?? 0] ?? answer.signatures[0];
    const others = answer.signatures.length - 1;
    const documentation =
      typeof active.documentation === "string" ? active.documentation : (active.documentation?.value ?? "");
    const more = others > 0 ? `  // and ${others} more overload${others > 1 ? "s" : ""}` : "";
    return `\`\`\`typescript\n${clean(active.label)}${more}\n\`\`\`${documentation ? `\n${clean(documentation)}` : ""}`;
  }
}
