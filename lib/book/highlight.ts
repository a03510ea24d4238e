// Code in colours, by the grammars that JupyterLab's editor has, too; all at build time.
import type { Parser } from "@lezer/common";
import { highlightCode, tagHighlighter, tags } from "@lezer/highlight";
import { parser as javascript } from "@lezer/javascript";
import { parser as json } from "@lezer/json";
import { parser as python } from "@lezer/python";
import { escapeHtml } from "../util/html.ts";

const typescript = javascript.configure({ dialect: "ts jsx" });
const parsers = new Map<string, Parser>([
  ...["typescript", "ts", "tsx", "javascript", "js", "jsx"].map((name) => [name, typescript] as const),
  ...["python", "py"].map((name) => [name, python] as const),
  ["json", json],
]);

/** Few classes: what a reader tells apart by colour. */
const style = tagHighlighter([
  { tag: tags.comment, class: "code-comment" },
  { tag: [tags.keyword, tags.atom, tags.bool, tags.self, tags.null], class: "code-keyword" },
  { tag: [tags.string, tags.regexp, tags.special(tags.string)], class: "code-string" },
  { tag: tags.number, class: "code-number" },
  { tag: [tags.typeName, tags.className, tags.standard(tags.name)], class: "code-type" },
  {
    tag: [
      tags.function(tags.variableName),
      tags.function(tags.propertyName),
      tags.definition(tags.propertyName),
    ],
    class: "code-title",
  },
]);

/** Code as HTML, in spans of a handful of classes; a language it does not know stays plain. */
export function highlight(code: string, language = "typescript"): string {
  const parser = parsers.get(language);
  if (!parser) return escapeHtml(code);
  let html = "";
  highlightCode(
    code,
    parser.parse(code),
    style,
    (text, classes) => {
      html += classes ? `<span class="${classes}">${escapeHtml(text)}</span>` : escapeHtml(text);
    },
    () => {
      html += "\n";
    },
  );
  return html;
}
