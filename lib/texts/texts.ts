// A table of texts, as gettext has it: what the code says in English, and what a reader of another language sees. The
// English text is the key; a key with placeholders in braces stands for all texts of its form.

import { literally } from "../util/pattern.ts";

/**
 * Translations by English text. Placeholders, with or without a number behind (`{n2}`), appear in both:
 *
 * - `{n}` a number, `{x}` anything, both as they are;
 * - `{s}` a text, which is translated in its turn;
 * - `{l}` a list: its parts, between `;`, `,`, `:`, ` and ` and numbers, are translated.
 */
export type Table = Record<string, string>;

/** A text, with the keys that it took and what of it has no translation. */
interface Said {
  text: string;
  keys: string[];
  missing: string[];
}

interface Pattern {
  key: string;
  /** The longest piece without placeholders: only texts that hold it are tried. */
  piece: string;
  expression: RegExp;
  names: string[];
  translation: string;
}

const placeholder = /\{([nxsl])\d?\}/g;
/** The same, to split at: what stands between, and the placeholders themselves. */
const placeholders = /(\{[nxsl]\d?\})/;
const number = "[+\\-−–±]?(?:\\d[\\d,]*(?:\\.\\d+)?|\\.\\d+)(?:[eE][+-]?\\d+)?|Infinity|NaN";
const separators = [
  [" → ", " → "],
  ["; ", "；"],
  [", ", "，"],
  [" and ", "和"],
  [": ", "："],
] as const;
const forms: Record<string, string> = { n: number, x: "[\\s\\S]*?", s: "[\\s\\S]+?", l: "[\\s\\S]+?" };

/** What puts a text into the reader's language. */
export interface Speech {
  say(text: string): string;
}

/** The texts of one language. */
export class Texts implements Speech {
  readonly #exact = new Map<string, string>();
  readonly #patterns: Pattern[] = [];
  readonly #known = new Map<string, Said>();
  /** What the language makes of `{n} %`: whether the sign stands by itself. */
  readonly #percent: string;
  /** English texts that were asked for and have no translation. */
  readonly missing = new Set<string>();
  /** Keys of the tables that were used. */
  readonly used = new Set<string>();

  /** @throws Error where two tables differ about a text, or a translation's placeholders are not its key's */
  constructor(...tables: Table[]) {
    const all = new Map<string, string>();
    for (const [text, translation] of tables.flatMap((table) => Object.entries(table))) {
      const other = all.get(text);
      if (other !== undefined && other !== translation)
        throw new Error(`${JSON.stringify(text)} is translated twice: ${other}, ${translation}`);
      all.set(text, translation);
    }
    this.#percent = (all.get("{n} %") ?? "{n} %").replace("{n}", "");
    for (const [text, translation] of all) {
      const names = text.match(placeholder) ?? [];
      if (names.length === 0) this.#exact.set(text, translation);
      else this.#patterns.push(patternOf(text, names, translation));
    }
    // Of two that fit, the one that says more.
    const weight = ({ key, names }: Pattern) => key.length - 10 * names.length;
    this.#patterns.sort((a, b) => weight(b) - weight(a));
  }

  /** The text in the reader's language; as it is where no table has it. Space at its ends stays. */
  say(text: string): string {
    const core = text.trim();
    if (!/\p{L}/u.test(core)) return text.replace(/(?<=\d) %(?=\s*$|\)| \()/g, this.#percent);
    const said = this.#find(core);
    for (const missing of said.missing) this.missing.add(missing);
    for (const key of said.keys) this.used.add(key);
    return said.text === core ? text : text.replace(core, () => said.text);
  }

  /** The same, without a note of what has no translation. */
  quietly(): Speech {
    return {
      say: (text) => {
        const core = text.trim();
        const said = /\p{L}/u.test(core) ? this.#find(core) : undefined;
        return said && said.missing.length === 0 ? text.replace(core, () => said.text) : text;
      },
    };
  }

  /** Whether a table has the text, or a form that it is of, and all parts of it. */
  has(text: string): boolean {
    const { keys, missing } = this.#find(text.trim());
    return keys.length > 0 && missing.length === 0;
  }

  #find(text: string): Said {
    const known = this.#known.get(text);
    if (known) return known;
    const exact = this.#exact.get(text);
    const said = exact !== undefined ? { text: exact, keys: [text], missing: [] } : this.#fill(text);
    if (said.keys.length > 0) said.text = said.text.replace(/(?<=\d) %(?!\w)/g, this.#percent);
    if (this.#known.size > 5000) this.#known.clear();
    this.#known.set(text, said);
    return said;
  }

  /** By the first pattern that leaves nothing untranslated, or else the first that fits at all. */
  #fill(text: string): Said {
    let fitting: Said | undefined;
    for (const { key, piece, expression, names, translation } of this.#patterns) {
      const parts = text.includes(piece) ? expression.exec(text) : null;
      if (!parts) continue;
      const said: Said = { text: "", keys: [key], missing: [] };
      for (const [i, piece] of translation.split(placeholders).entries()) {
        if (i % 2 === 0) {
          said.text = joined(said.text, piece);
          continue;
        }
        const part = parts[names.indexOf(piece) + 1];
        const kind = piece[1];
        const inner =
          kind === "s"
            ? this.#part(part)
            : kind === "l"
              ? this.#list(part)
              : { text: part, keys: [], missing: [] };
        said.text = joined(said.text, inner.text);
        said.keys.push(...inner.keys);
        said.missing.push(...inner.missing);
      }
      if (said.missing.length === 0) return said;
      fitting ??= said;
    }
    return fitting ?? { text, keys: [], missing: this.#isName(text) ? [] : [text] };
  }

  #part(text: string): Said {
    return /\p{L}/u.test(text) ? this.#find(text) : { text, keys: [], missing: [] };
  }

  #list(text: string): Said {
    if (this.has(text)) return this.#find(text);
    // One separator after the other: a name may have those of a finer kind in it.
    for (const [separator, own] of separators) {
      if (!text.includes(separator)) continue;
      const parts = text.split(separator).map((part) => this.#list(part));
      return {
        text: parts.map((part) => part.text).reduce((all, part) => joined(joined(all, own), part)),
        keys: parts.flatMap(({ keys }) => keys),
        missing: parts.flatMap(({ missing }) => missing),
      };
    }
    const [, name, amount] = /^(.*?\S) (\S*\d\S*(?: [%±].*)?)$/.exec(text) ?? [];
    if (!name) return this.#part(text);
    const said = this.#part(name);
    return { ...said, text: joined(`${said.text} `, amount) };
  }

  /** Whether its words are names that stay as they are: each has itself as its translation. */
  #isName(text: string): boolean {
    return text.split(/[^\p{L}\p{N}_.-]+/u).every((word) => {
      const bare = word.replace(/[.-]+$/, "");
      return !/\p{L}{2}/u.test(bare) || this.#exact.get(bare) === bare;
    });
  }
}

/**
 * Two pieces of a sentence: a space where a Chinese character meets a Latin letter, a digit or a closing bracket, none
 * where it meets another or a mark of punctuation, whatever the table had in mind for what stands there.
 */
export function joined(before: string, after: string): string {
  if (before === "" || after === "") return before + after;
  const [left, right] = [before.replace(/ $/, ""), after.replace(/^ /, "")];
  const [last, first] = [left.at(-1) ?? "", right[0] ?? ""];
  const both = last + first;
  if (/[，。、；：？！（）“”]/u.test(both)) return left + right;
  if (!/\p{Script=Han}/u.test(both)) return before + after;
  if (/^\p{Script=Han}{2}$/u.test(both)) return left + right;
  return /[\p{Script=Latin}\p{N}%)\]]/u.test(both) ? `${left} ${right}` : before + after;
}

function patternOf(text: string, names: string[], translation: string): Pattern {
  const strange = (translation.match(placeholder) ?? []).find((name) => !names.includes(name));
  if (strange || new Set(names).size !== names.length)
    throw new Error(
      `${JSON.stringify(text)} and ${JSON.stringify(translation)} must have the same placeholders, each once`,
    );
  const pieces = text.split(/\{[nxsl]\d?\}/);
  const escaped = pieces.map(literally);
  const groups = names.map((name) => `(${forms[name[1]]})`);
  return {
    key: text,
    piece: pieces.reduce((longest, piece) => (piece.length > longest.length ? piece : longest), ""),
    expression: new RegExp(`^${escaped.map((piece, i) => piece + (groups[i] ?? "")).join("")}$`, "u"),
    names,
    translation,
  };
}
