// What the server says may be written at a place, as Jupyter's completion: the word's own matches, in order, with types.
import type { Completions } from "../protocol/host.ts";
import type { TypedMatch } from "../protocol/reference.ts";
import { prefix } from "./project.ts";
import type { TypeServer } from "./server.ts";
import { clean, offsetAt, type Range, withoutAlias } from "./text.ts";

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

/** The server's answer to `textDocument/completion`. */
export type CompletionAnswer =
  | { items: CompletionItem[]; itemDefaults?: ItemDefaults }
  | CompletionItem[]
  | null;

/** Jupyter's completion of the word before the cursor, from the server's. */
export async function completionsOf(
  answer: CompletionAnswer,
  source: string,
  cursor: number,
  word: string,
  server: TypeServer,
): Promise<Completions> {
  let items = (Array.isArray(answer) ? answer : answer?.items) ?? [];
  const defaults = Array.isArray(answer) ? undefined : answer?.itemDefaults;
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
    server.describesItems && list.length <= 8
      ? await detailsOf(
          list.map(([, item]) => item),
          defaults?.data,
          server,
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

async function detailsOf(
  items: CompletionItem[],
  data: unknown,
  server: TypeServer,
): Promise<(string | undefined)[]> {
  const answers = items.map((item) =>
    server.resolve<CompletionItem>({ ...item, data: item.data ?? data }).then(
      (full) => (full.detail ? withoutAlias(clean(full.detail)) : undefined),
      () => undefined,
    ),
  );
  return Promise.all(answers);
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
