// A notebook or a Markdown file as a page's article. What is strange in it costs its own place only, and says so there.
import { existsSync, realpathSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, sep } from "node:path";
import {
  type Cell,
  type Chapter,
  type Language,
  type Notebook,
  readNotebook,
  textOf,
  titleIn,
  titleOf,
} from "../notebook/notebook.ts";
import type { ChapterReport } from "../notebook/report.ts";
import { escapeHtml } from "../util/html.ts";
import { highlight } from "./highlight.ts";
import type { LinkSource, Links } from "./links.ts";
import { liveFigureOf } from "./live.ts";
import { type Heading, type Prose, renderMarkdown } from "./markdown.ts";
import { type PageParts, type PlotData, renderOutputs } from "./outputs.ts";
import type { PageLink } from "./page.ts";
import type { HidePaths } from "./paths.ts";
import type { ReferencePage } from "./reference/pages.ts";
import { reasonOf, words } from "./words.ts";

/** A section of a page, for the search. */
export interface SearchEntry {
  page: string;
  title: string;
  heading: string;
  id: string;
  text: string;
}

/** A page before it has its frame. */
export interface Content {
  link: PageLink;
  article: string;
  headings: Heading[];
  hasMath: boolean;
  plots: PlotData[];
  search: SearchEntry[];
  /** The notebook to take away, where the page is one. */
  notebook?: string;
}

/** Where a site has what a book would else bring along, or cannot do; addresses from the book's folder. */
export interface SiteAround {
  /** Where a chapter can be run; its path follows. */
  runAt: string;
  /** Where the notebooks lie to be taken away; their paths follow. */
  notebooks: string;
  /** Plotly as a module, compressed. */
  plotly: string;
}

/** What all pages of a book share. */
export interface Shelf {
  links: Links;
  hidePaths: HidePaths;
  /** Folder of the executed copies. */
  executed: string;
  site?: SiteAround;
}

/** The page of a notebook, with the results of its executed copy as far as they are still its own. */
export async function notebookContent(
  chapter: Chapter,
  slug: string,
  name: string,
  report: ChapterReport | undefined,
  shelf: Shelf,
): Promise<Content> {
  const link = { slug, language: chapter.language, number: chapter.number, title: titleOf(empty, slug) };
  const page = emptyPage(link);
  const t = words[chapter.language];
  try {
    const place = shelf.links.inside(chapter.path);
    if ("reason" in place) throw new Error(t.leftOut[place.reason]);
    const source = await readNotebook(place.path);
    link.title = titleOf(source, slug);
    page.notebook = place.path;
    const { notebook, ran, staleFrom } = await withResults(source, join(shelf.executed, name), shelf);
    const html = renderCells(page, notebook, chapter.path, shelf);
    const note = staleFrom > 0 ? t.changed(staleFrom) : ran ? "" : t.notRun;
    const status = facts(link, staleFrom > 0 ? undefined : report, note, notebook, shelf.site);
    html.splice(Math.min(1, html.length), 0, status);
    page.article = html.join("\n");
  } catch (error) {
    const reason = shelf.hidePaths(reasonOf(error, link.language));
    page.search = [{ page: `${slug}.html`, title: link.title, heading: "", id: "", text: reason }];
    page.article = `<section class="prose"><h1>${escapeHtml(`${link.number} ${titleIn(link.language, link.title)}`)}</h1></section>${notice(t.broken.chapter(reason))}`;
  }
  return page;
}

const empty: Notebook = { nbformat: 4, nbformat_minor: 5, metadata: {}, cells: [] };

function emptyPage(link: PageLink): Content {
  return { link, article: "", headings: [], hasMath: false, plots: [], search: [] };
}

/** The anchors of the frame, which no heading may take. */
const frameIds = ["main", "chapters", "results"];

function notice(text: string): string {
  return `<p class="notice failed" role="alert">${escapeHtml(text)}</p>`;
}

/** Text of any metadata, sorted out: tags are a list of words, or there are none. */
function hasTag(cell: Cell, tag: string): boolean {
  const tags: unknown = cell.metadata?.tags;
  return Array.isArray(tags) && tags.includes(tag);
}

const codeOf = (notebook: Notebook) => notebook.cells.filter(({ cell_type }) => cell_type === "code");

/**
 * The notebook as it is now, with the outputs of its executed copy. They hold up to the first code cell that was changed:
 * what comes after it ran in another state.
 *
 * @returns staleFrom: the number of that cell, from 1 and prose included; 0 where there is none
 */
async function withResults(
  source: Notebook,
  path: string,
  shelf: Shelf,
): Promise<{ notebook: Notebook; ran: boolean; staleFrom: number }> {
  const cells = source.cells.map((cell) =>
    cell.cell_type === "code" ? { ...cell, outputs: [], execution_count: null } : cell,
  );
  const notebook = { ...source, cells };
  if (!existsSync(path) || !realpathSync(path).startsWith(realpathSync(shelf.executed) + sep))
    return { notebook, ran: false, staleFrom: 0 };
  const copy = await readNotebook(path).catch(() => undefined); // a damaged copy is none
  if (!copy) return { notebook, ran: false, staleFrom: 0 };
  const executed = codeOf(shelf.hidePaths(copy));
  let i = 0;
  for (const [number, cell] of cells.entries()) {
    if (cell.cell_type !== "code") continue;
    const run = executed[i++];
    if (!run || textOf(run.source) !== textOf(cell.source))
      return { notebook, ran: true, staleFrom: number + 1 };
    cell.outputs = run.outputs;
    cell.execution_count = run.execution_count;
  }
  return { notebook, ran: true, staleFrom: 0 };
}

function renderCells(page: Content, notebook: Notebook, path: string, shelf: Shelf): string[] {
  const { link } = page;
  const t = words[link.language];
  const parts: PageParts = {
    language: link.language,
    plots: page.plots,
    usedIds: new Set(frameIds),
    hasMath: false,
  };
  const html: string[] = [];
  for (const [i, cell] of notebook.cells.entries()) {
    if (hasTag(cell, "remove-cell")) continue;
    try {
      if (cell.cell_type === "markdown") {
        const source = { path, page: pageName(link), language: link.language, cell };
        const prose = proseOf(unfolded(cell), parts.usedIds, source, shelf);
        addProse(page, prose);
        const box = hasTag(cell, "exercise") ? " exercise" : "";
        html.push(fold(cell, `<section class="prose${box}">${prose.html}</section>`, t.solution));
      } else if (cell.cell_type === "code" && (textOf(cell.source).trim() || hasOutputs(cell))) {
        html.push(fold(cell, codeCell(cell, i + 1, parts), t.solution));
      }
    } catch (error) {
      html.push(notice(t.broken.cell(reasonOf(error, link.language))));
    }
  }
  page.hasMath ||= parts.hasMath;
  return html;
}

function hasOutputs(cell: Cell): boolean {
  const outputs: unknown = cell.outputs;
  return outputs !== undefined && !(Array.isArray(outputs) && outputs.length === 0);
}

function codeCell(cell: Cell, number: number, parts: PageParts): string {
  const t = words[parts.language];
  const block = (code: string) => `<pre class="code" tabindex="0"><code>${highlight(code)}</code></pre>`;
  const { own, checks } = apart(textOf(cell.source));
  const code =
    block(own) +
    (checks && `<details class="checks"><summary>${t.checks}</summary>${block(checks)}</details>`);
  const count = Number.isSafeInteger(cell.execution_count) ? cell.execution_count : "";
  const live = liveFigureOf(cell.metadata?.tags);
  return [
    `<section class="cell" id="cell-${number}">`,
    `<div class="input"><span class="count" aria-hidden="true">[${count}]</span>`,
    hasTag(cell, "hide-input") ? `<details><summary>${t.showCode}</summary>${code}</details>` : code,
    `</div>`,
    hasOutputs(cell) ? `<div class="outputs">${renderOutputs(cell.outputs, parts)}</div>` : "",
    live ? `<div class="live" data-live="${live}"></div>` : "",
    `</section>`,
  ].join("");
}

/**
 * An exercise's code: what the reader has to write at, and what checks it, which would give the answer away. The second
 * begins with the blank line after the last “your turn”.
 */
function apart(source: string): { own: string; checks: string } {
  const check = source.search(/^(?:await )?check\(/m);
  const turn = source.lastIndexOf("your turn", check);
  const end = source.indexOf("\n\n", turn);
  if (check === -1 || turn === -1 || end === -1 || end > check) return { own: source, checks: "" };
  return { own: source.slice(0, end), checks: source.slice(end).trim() };
}

/** A cell's prose; of a solution without the fold that it brings along for JupyterLab, which the page makes itself. */
function unfolded(cell: Cell): string {
  const text = textOf(cell.source);
  if (!hasTag(cell, "solution")) return text;
  return text.replace(/^\s*<details>\s*<summary>[^<]*<\/summary>\s*\n([\s\S]*)\n\s*<\/details>\s*$/, "$1");
}

/** A cell tagged `solution` waits behind its summary until the reader wants it. */
function fold(cell: Cell, html: string, summary: string): string {
  return hasTag(cell, "solution")
    ? `<details class="solution"><summary>${summary}</summary>${html}</details>`
    : html;
}

/** The line below the title: how long it ran, where it failed, the notebook to take away. */
function facts(
  link: PageLink,
  report: ChapterReport | undefined,
  note: string,
  notebook: Notebook,
  site: SiteAround | undefined,
): string {
  const t = words[link.language];
  const [up, folder] = link.language === "en" ? ["", ""] : ["../", `${link.language}/`];
  const cells = codeOf(notebook).filter((cell) => textOf(cell.source).trim()).length;
  const items = [t.cells(cells)];
  if (report && report.status !== "invalid") items.push(t.seconds(Number(report.seconds)));
  const file = `${encodeURIComponent(link.slug)}.ipynb`;
  const way = site ? `${up}${site.notebooks}${folder}` : "";
  items.push(`<a href="${way}${file}" download>${t.download}</a>`);
  if (site) items.push(`<a href="${up}${site.runAt}${encodeURIComponent(folder)}${file}">${t.run}</a>`);
  const line = `<p class="facts">${items.join(" · ")}</p>`;
  if (report && report.status !== "ok") {
    const { cell, line: at, name, message } = report.failure ?? {};
    const number = Number(cell) || 0;
    const where =
      number > 0
        ? `: <a href="#cell-${number}">${t.cell(number)}</a>${Number(at) > 0 ? `, ${t.line(Number(at))}` : ""}`
        : "";
    const what = [textOf(name), textOf(message)].filter(Boolean).join(": ");
    return `${line}<p class="notice failed" role="alert">${statusNote(link.language, report)}${where}. ${escapeHtml(what)}</p>`;
  }
  return note ? `${line}<p class="notice">${escapeHtml(note)}</p>` : line;
}

/** How a chapter ended, in a few words. */
export function statusNote(language: Language, { status }: ChapterReport): string {
  const { notes } = words[language];
  return Object.hasOwn(notes, status) ? notes[status] : notes.invalid;
}

/** A page's name as lists of troubles give it. */
function pageName({ language, slug }: PageLink): string {
  return `${language === "en" ? "" : `${language}/`}${slug}.html`;
}

function addProse(page: Content, prose: Prose): void {
  page.hasMath ||= prose.hasMath;
  page.headings.push(...prose.headings);
  const heading = prose.headings.at(-1);
  const entry = page.search.at(-1);
  if (heading || !entry) {
    page.search.push({
      page: `${encodeURIComponent(page.link.slug)}.html`,
      title: `${page.link.number} ${titleIn(page.link.language, page.link.title)}`.trim(),
      heading: heading?.text ?? "",
      id: heading?.id ?? "",
      text: prose.text,
    });
  } else {
    entry.text += `\n${prose.text}`;
  }
}

/** Prose of a notebook or a Markdown file: links lead to pages, pictures are taken along. */
function proseOf(text: string, usedIds: Set<string>, source: LinkSource, shelf: Shelf): Prose {
  return renderMarkdown(text, usedIds, (target, kind) => shelf.links.resolve(target, kind, source));
}

/** A text as a page's article, with one entry in the search for each heading, as in a notebook's cells. */
function addText(page: Content, text: string, render: (part: string, usedIds: Set<string>) => Prose): void {
  const html: string[] = [];
  const usedIds = new Set(frameIds);
  for (const part of text.split(/^(?=#{1,4} )/m)) {
    const prose = render(part, usedIds);
    addProse(page, prose);
    html.push(prose.html);
  }
  page.article = `<section class="prose">${html.join("\n")}</section>`;
}

/** A page of the API reference: the list of rooms stands among the chapters, the rooms behind it. */
export function referenceContent({ slug, title, markdown, language }: ReferencePage): Content {
  const page = emptyPage({ slug, language, number: "", title, unlisted: slug !== "api" });
  addText(page, markdown, (part, usedIds) => renderMarkdown(part, usedIds));
  return page;
}

/** The page of a Markdown file. */
export async function textContent(
  path: string,
  slug: string,
  language: Language,
  shelf: Shelf,
): Promise<Content> {
  const link: PageLink = { slug, language, number: "", title: slug };
  const page = emptyPage(link);
  const t = words[language];
  try {
    const place = shelf.links.inside(path);
    if ("reason" in place) throw new Error(t.leftOut[place.reason]);
    const text = await readFile(place.path, "utf8");
    link.title = titleOf({ ...empty, cells: [{ cell_type: "markdown", source: text, metadata: {} }] }, slug);
    addText(page, text, (part, usedIds) =>
      proseOf(part, usedIds, { path, page: pageName(link), language }, shelf),
    );
  } catch (error) {
    const reason = shelf.hidePaths(reasonOf(error, language));
    page.article = `<section class="prose"><h1>${escapeHtml(link.title)}</h1></section>${notice(t.broken.chapter(reason))}`;
  }
  return page;
}
