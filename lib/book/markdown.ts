// Prose: markdown-it with KaTeX, and code in colours, all at build time, so that a page needs no script to be read.
import katexPlugin from "@vscode/markdown-it-katex";
import MarkdownIt, { type Token } from "markdown-it";
import { titleIn } from "../notebook/notebook.ts";
import { escapeHtml, slugify } from "../util/html.ts";
import { highlight } from "./highlight.ts";

/** A heading found in prose. */
export interface Heading {
  level: number;
  id: string;
  text: string;
}

/** Prose as HTML, and what the page needs to know of it. */
export interface Prose {
  html: string;
  headings: Heading[];
  hasMath: boolean;
  /** Its text without markup, for the search. */
  text: string;
}

/** What leads somewhere. */
export type Target = "link" | "image";

/** An address in the book, or why there is none. */
export type LinkTarget = string | { reason: string };

/** Where a link or picture in a notebook leads, in the book. */
export type Resolve = (target: string, kind: Target) => LinkTarget;

// Raw HTML in Markdown stays off on purpose: it shows as text. Prose needs none, and so none has to be sanitised.
const md = new MarkdownIt({
  html: false,
  linkify: true,
  typographer: false,
  highlight: (code, language) => highlight(code, language),
});
md.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
md.use(katexPlugin.default, { throwOnError: false, errorColor: "currentColor" });
md.renderer.rules.table_open = (tokens, i) => {
  // Each table is a landmark of its own, so it needs a name of its own: what stands in its head.
  const end = tokens.findIndex(({ type }, at) => at > i && type === "thead_close");
  const head = tokens.slice(i, end).filter(({ type }) => type === "inline");
  const name = head.map(({ content }) => content).join(", ") || "table";
  return `<div class="table" tabindex="0" role="region" aria-label="${escapeHtml(name)}"><table>\n`;
};
md.renderer.rules.table_close = () => "</table></div>\n";

/**
 * Renders Markdown.
 *
 * @param usedIds the page's anchors so far; those of this text are added
 */
export function renderMarkdown(
  source: string,
  usedIds: Set<string>,
  resolve: Resolve = (target) => target,
): Prose {
  const tokens = md.parse(source, {});
  const headings: Heading[] = [];
  const words: string[] = [];
  let hasMath = false;
  for (const [i, token] of tokens.entries()) {
    if (token.type === "math_block") hasMath = true;
    if (token.type === "fence" || token.type === "code_block") words.push(token.content);
    const isHeading = tokens[i - 1]?.type === "heading_open"; // its text is kept apart
    for (const child of token.children ?? []) {
      if (child.type === "math_inline") hasMath = true;
      if ((child.type === "text" || child.type === "code_inline") && !isHeading) words.push(child.content);
      if (child.type === "softbreak") words.push(" ");
      if (child.type === "link_open") leadLink(child, token.children!, resolve);
      if (child.type === "image") leadImage(child, resolve);
    }
    if (token.type === "inline" && !isHeading) words.push("\n");
    if (token.type === "heading_open") {
      const text = (tokens[i + 1].children ?? [])
        .map((child) =>
          child.type === "softbreak"
            ? " "
            : child.type.startsWith("math") || child.type === "text" || child.type === "code_inline"
              ? child.content
              : "",
        )
        .join("");
      // "sparsity · 稀疏度" is #sparsity in both languages, so that links need not know which.
      const id = freeId(slugify(titleIn("en", text)), usedIds);
      token.attrSet("id", id);
      headings.push({ level: Number(token.tag.slice(1)), id, text });
    }
  }
  // A wide formula or line of code scrolls in its own box, with the keyboard too; a narrow page stays narrow.
  const html = md.renderer
    .render(tokens, md.options, {})
    .replaceAll('<p class="katex-block">', '<p class="katex-block" tabindex="0">')
    .replaceAll("<pre><code", '<pre tabindex="0"><code');
  return {
    html,
    headings,
    hasMath,
    text: words
      .join("")
      .replace(/[ \t]+/g, " ")
      .trim(),
  };
}

/** Gives a link its address in the book; one that leads nowhere stays as text that says why. */
function leadLink(open: Token, siblings: Token[], resolve: Resolve): void {
  const href = String(open.attrGet("href") ?? "");
  const target = resolve(href, "link");
  if (typeof target === "string") {
    open.attrSet("href", target);
    if (/^https?:/i.test(href)) open.attrSet("rel", "noopener");
    return;
  }
  open.tag = "span";
  open.attrs = [
    ["class", "left-out"],
    ["title", target.reason],
  ];
  const close = siblings.slice(siblings.indexOf(open)).find(({ type }) => type === "link_close");
  if (close) close.tag = "span";
}

/** Gives a picture its address; in place of one that is not there stands its description, and why. */
function leadImage(image: Token, resolve: Resolve): void {
  const target = resolve(String(image.attrGet("src") ?? ""), "image");
  if (typeof target === "string") {
    image.attrSet("src", target);
    return;
  }
  image.type = "text";
  image.content = `[${image.content ? `${image.content}: ` : ""}${target.reason}]`;
  image.children = null;
}

const lastNumbers = new WeakMap<Set<string>, Map<string, number>>();

/** The id, or with the first free number behind it. */
export function freeId(id: string, used: Set<string>): string {
  let free = id;
  // From the number that the last one had: a thousand equal headings take a thousand steps.
  let number = lastNumbers.get(used)?.get(id) ?? 1;
  while (used.has(free)) free = `${id}-${++number}`;
  used.add(free);
  if (number > 1) {
    const numbers = lastNumbers.get(used) ?? new Map<string, number>();
    lastNumbers.set(used, numbers.set(id, number));
  }
  return free;
}
