// What a cell puts out, in the reader's language. It is made in English, whatever the edition, for both editions have the
// same code: what is shown of it is translated, and a text that no table has stays as it is.

import { renderSvg } from "../plots/svg.ts";
import { textUnits } from "../plots/text.ts";
import type { MimeBundle } from "../util/display.ts";
import { escapeHtml } from "../util/html.ts";
import type { Output } from "../util/nbformat.ts";
import { type FigureJson, translateFigure } from "./figure.ts";
import type { Speech, Texts } from "./texts.ts";

const plotlyType = "application/vnd.plotly.v1+json";

/** Outputs with their texts translated; errors stay as they are. */
export function translateOutputs(outputs: readonly Output[], texts: Texts): Output[] {
  return outputs.map((output) => {
    if (output.output_type === "stream") {
      const text = typeof output.text === "string" ? output.text : output.text.join("");
      // What is on standard error is a program's warnings, in its own words.
      return { ...output, text: translateText(text, output.name === "stderr" ? texts.quietly() : texts) };
    }
    return output.output_type === "error" ? output : { ...output, data: translateBundle(output.data, texts) };
  });
}

/** What the kernel publishes, translated: text that was written, and values that are shown. */
export function translatePublished(
  type: string,
  content: Record<string, unknown>,
  texts: Texts,
): Record<string, unknown> {
  if (type === "stream") return { ...content, text: translateText(String(content.text), texts) };
  const shows = type === "display_data" || type === "update_display_data" || type === "execute_result";
  return shows ? { ...content, data: translateBundle(content.data as MimeBundle, texts) } : content;
}

/** A value in each of its forms. */
export function translateBundle(bundle: MimeBundle, texts: Texts): MimeBundle {
  const own: MimeBundle = { ...bundle };
  const figure = bundle[plotlyType] as FigureJson | undefined;
  if (figure && Array.isArray(figure.data) && typeof figure.layout === "object" && figure.layout) {
    const translated = translateFigure(figure, texts);
    own[plotlyType] = translated;
    if (bundle["image/svg+xml"] !== undefined)
      own["image/svg+xml"] = renderSvg(translated.data, translated.layout, {
        say: (text) => texts.say(text),
      });
    const { alt } = (translated.layout.meta ?? {}) as { alt?: string };
    if (alt && /^Figure: /.test(textOf(bundle["text/plain"])))
      own["text/plain"] = texts.say("Figure: {x}").replace("{x}", () => alt);
    return own;
  }
  if (bundle["text/html"] !== undefined) own["text/html"] = translateHtml(textOf(bundle["text/html"]), texts);
  if (bundle["text/markdown"] !== undefined)
    own["text/markdown"] = translateText(textOf(bundle["text/markdown"]), texts);
  if (bundle["text/plain"] !== undefined) {
    // Where there is HTML, its plain text is seen by few, and may be columns that no table of texts knows.
    const plain = textOf(bundle["text/plain"]);
    own["text/plain"] =
      bundle["text/html"] === undefined && bundle["text/markdown"] === undefined
        ? translateText(plain, texts)
        : translateText(plain, texts.quietly());
  }
  return own;
}

const textOf = (value: unknown) =>
  Array.isArray(value) ? value.join("") : typeof value === "string" ? value : "";

/** Text between tags; what stands in scripts and styles is none. */
function translateHtml(html: string, texts: Texts): string {
  return html.replace(/<(script|style)\b[\s\S]*?<\/\1>|<[^>]*>|[^<]+/gi, (piece) =>
    piece.startsWith("<") ? piece : escapeHtml(texts.say(unescapeHtml(piece))),
  );
}

function unescapeHtml(text: string): string {
  const names: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };
  return text.replace(/&(amp|lt|gt|quot|#39);/g, (_, name) => names[name]);
}

/** Text line by line, words alone left out; of values as Node shows them, what stands in quotes; of console.table, the cells. */
export function translateText(text: string, texts: Speech): string {
  const lines = text.split("\n");
  const own: string[] = [];
  for (let i = 0; i < lines.length; i++) {
    const end = lines.findIndex((line, at) => at >= i && !/^[┌├│└]/.test(line));
    const height = (end < 0 ? lines.length : end) - i;
    if (height > 2) {
      own.push(...translateTable(lines.slice(i, i + height), texts));
      i += height - 1;
    } else own.push(translateLine(lines[i], texts));
  }
  return own.join("\n");
}

const quoted = /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`/g;
/** Values as they are shown: brackets, names, numbers and strings. */
const value =
  /^(?:\s*|\s+[\p{L}_$][\w$]*: )(?:[[{(\]})]|'|"|`|[-\d.]+,?$|\.\.\. )|^(?:Map|Set|Object|\w+Array)\(\d+\) [[{]/u;

/** A word alone may be a name that a program prints or holds: whoever prints it wants to see it as it is. */
const isWord = (text: string) => !/\s/.test(text.trim());

function translateLine(line: string, texts: Speech): string {
  if (isWord(line)) return line;
  if (!value.test(line)) return texts.say(line);
  return line.replace(quoted, (all: string, single?: string, double?: string, tick?: string) => {
    const text = (single ?? double ?? tick ?? "").replace(/\\(.)/g, "$1");
    if (isWord(text)) return all;
    const own = texts.say(text);
    if (own === text) return all;
    return all[0] + own.replaceAll("\\", "\\\\").replaceAll(all[0], `\\${all[0]}`) + all[0];
  });
}

/** A table of console.table, as wide as it is now. */
function translateTable(lines: string[], texts: Speech): string[] {
  const rows = lines.map((line) =>
    line.startsWith("│")
      ? line
          .slice(1, -1)
          .split("│")
          .map((cell) => sayCell(cell.trim(), texts))
      : undefined,
  );
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of (row ?? []).entries()) widths[i] = Math.max(widths[i] ?? 0, textUnits(cell) + 2);
  }
  const rule = (line: string) => {
    const [left, middle, right] = line.startsWith("┌") ? "┌┬┐" : line.startsWith("├") ? "├┼┤" : "└┴┘";
    return left + widths.map((width) => "─".repeat(width)).join(middle) + right;
  };
  return lines.map((line, at) => {
    const row = rows[at];
    return row
      ? `│${row.map((cell, i) => ` ${cell}${" ".repeat(widths[i] - textUnits(cell) - 1)}`).join("│")}│`
      : rule(line);
  });
}

function sayCell(cell: string, texts: Speech): string {
  const [, quote = "", text = cell] = /^(['"])(.*)\1$/.exec(cell) ?? [];
  return quote + texts.say(text) + quote;
}
