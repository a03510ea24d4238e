// Executed notebooks into a static site that works from a folder, with no server and no network.
// mystmd, the generator made for this, downloads its template when it builds; so pages are put together here, and the
// work on prose, mathematics, code and charts is done by markdown-it, KaTeX, highlight.js and Plotly.
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, cp, link, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, posix, relative, resolve, sep } from "node:path";
import * as esbuild from "esbuild";
import {
  type Cell,
  type Chapter,
  findChapters,
  type Language,
  languages,
  type Notebook,
  readNotebook,
  textOf,
  titleIn,
  titleOf,
} from "../notebook/notebook.ts";
import type { ChapterReport, RunReport } from "../notebook/report.ts";
import { packageRoot } from "../util/files.ts";
import { escapeHtml } from "../util/html.ts";
import { slimlabVersion } from "../util/version.ts";
import { type Heading, highlight, type Prose, renderMarkdown } from "./markdown.ts";
import { type PlotData, renderOutputs } from "./outputs.ts";
import { chapterList, dataScript, type PageLink, renderPage } from "./page.ts";
import { words } from "./words.ts";

/** Options of {@link buildBook}. */
export interface BookOptions {
  /** Folder of the committed notebooks; `zh/` in it holds the Chinese ones. */
  notebooks: string;
  /** Folder of their executed copies, laid out alike. A chapter without a copy is shown without results. */
  executed: string;
  /** Folder to write. It is replaced as a whole, once all is ready. */
  output: string;
  report?: RunReport;
}

/** What was built. */
export interface Book {
  index: string;
  pages: number;
  bytes: number;
  /** Links that lead to no page, or to no place on it: `page: target`. */
  brokenLinks: string[];
}

interface SearchEntry {
  page: string;
  title: string;
  heading: string;
  id: string;
  text: string;
}

interface Content {
  link: PageLink;
  article: string;
  headings: Heading[];
  hasMath: boolean;
  plots: PlotData[];
  search: SearchEntry[];
  notebook?: string;
}

/** Builds the book. */
export async function buildBook(options: BookOptions): Promise<Book> {
  const output = resolve(options.output);
  await checkReplaceable(output);
  const building = `${output}.${randomBytes(4).toString("hex")}.tmp`;
  try {
    await mkdir(join(building, "assets"), { recursive: true });
    const { pages, brokenLinks } = await writePages(options, building);
    await writeAssets(building, join(output, "assets"));
    if (options.report)
      await writeFile(join(building, "run.json"), `${JSON.stringify(options.report, null, 2)}\n`);
    const bytes = await folderSize(building);
    const old = `${building}.old`;
    if (existsSync(output)) await rename(output, old);
    await rename(building, output);
    await rm(old, { recursive: true, force: true });
    return { index: join(output, "index.html"), pages, bytes, brokenLinks };
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

/** A folder with other people's files in it must not be swept away by a slip in --output. */
async function checkReplaceable(output: string): Promise<void> {
  const names = await readdir(output).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw new Error(`${output} cannot hold the book (${error.code})`);
  });
  if (names.length > 0 && !existsSync(join(output, "assets", "book.css"))) {
    throw new Error(`${output} holds files that are no book: choose another --output or empty it`);
  }
}

async function writePages(
  options: BookOptions,
  building: string,
): Promise<{ pages: number; brokenLinks: string[] }> {
  const chapters = await findChapters(options.notebooks);
  const contents = new Map<Language, Content[]>();
  for (const language of languages) {
    const own = chapters.filter((chapter) => chapter.language === language);
    const notebooks = await Promise.all(own.map((chapter) => notebookContent(chapter, options, building)));
    const texts = await textContents(language, options.notebooks, building);
    const pages = [...notebooks, ...texts.filter(({ link }) => link.slug !== "index")];
    if (language !== "en" && pages.length === 0) continue;
    pages.unshift(
      frontPage(
        language,
        pages,
        texts.find(({ link }) => link.slug === "index"),
        options.report,
      ),
    );
    contents.set(language, pages);
  }

  const written = new Map<string, string>();
  for (const [language, pages] of contents) {
    explainTerms(pages);
    const folder = language === "en" ? building : join(building, language);
    await mkdir(folder, { recursive: true });
    const links = pages.map((page) => page.link).filter((link) => link.slug !== "index");
    const other = language === "en" ? "zh" : "en";
    for (const page of pages) {
      const { link, plots } = page;
      const twin = contents.get(other)?.some((candidate) => candidate.link.slug === link.slug)
        ? link.slug
        : "index";
      const way = language === "en" ? "zh/" : "../";
      if (plots.length > 0)
        await writeFile(join(folder, `${link.slug}.plots.js`), dataScript("slimlabPlots", plots));
      if (page.notebook) await copyFile(page.notebook, join(folder, `${link.slug}.ipynb`));
      const html = renderPage({
        ...page,
        pages: links,
        otherLanguage: contents.has(other) ? `${way}${twin}.html` : undefined,
        plotScript: plots.length > 0 ? `${link.slug}.plots.js` : undefined,
        footer: escapeHtml(
          words[language].made(slimlabVersion, options.report?.node ?? process.versions.node),
        ),
      });
      await writeFile(join(folder, `${link.slug}.html`), html);
      written.set(`${language === "en" ? "" : `${language}/`}${link.slug}.html`, html);
    }
    const index = pages.flatMap((page) => page.search);
    await writeFile(join(building, "assets", `search-${language}.js`), dataScript("slimlabIndex", index));
  }
  return { pages: written.size, brokenLinks: brokenLinksIn(written) };
}

/** Links into the glossary show the term's definition before they are followed. */
function explainTerms(pages: Content[]): void {
  const glossary = pages.find(({ link }) => link.slug === "glossary");
  const definitions = new Map(glossary?.search.map(({ id, text }) => [id, text.replaceAll("\n", " ")]));
  for (const page of pages) {
    page.article = page.article.replace(/<a href="glossary\.html#([^"]*)"/g, (anchor, id) => {
      const definition = definitions.get(decodeURIComponent(id));
      return definition ? `${anchor} class="term" title="${escapeHtml(definition.slice(0, 300))}"` : anchor;
    });
  }
}

function brokenLinksIn(pages: Map<string, string>): string[] {
  const anchors = new Map(
    [...pages].map(([name, html]) => [
      name,
      new Set([...html.matchAll(/ id="([^"]*)"/g)].map((match) => match[1])),
    ]),
  );
  const broken: string[] = [];
  for (const [name, html] of pages) {
    for (const [, href] of html.matchAll(/<a [^>]*?href="([^":]*)"/g)) {
      const [file, hash = ""] = href.split("#");
      if (file && !file.endsWith(".html")) continue; // notebooks and files are copied where they are linked
      const target = file ? posix.join(posix.dirname(name), decodeURIComponent(file)) : name;
      const places = anchors.get(target);
      if (!places || (hash && !places.has(decodeURIComponent(hash)))) broken.push(`${name}: ${href}`);
    }
  }
  return broken;
}

async function notebookContent(chapter: Chapter, options: BookOptions, building: string): Promise<Content> {
  const name = relative(options.notebooks, chapter.path).split(sep).join("/");
  const report = options.report?.chapters.find((candidate) => candidate.notebook === name);
  const executedPath = join(options.executed, name);
  const t = words[chapter.language];
  let notebook: Notebook;
  let ran = existsSync(executedPath);
  try {
    notebook = await readNotebook(ran ? executedPath : chapter.path);
  } catch (error) {
    ran = true;
    notebook = { nbformat: 4, nbformat_minor: 5, metadata: {}, cells: [] };
    const message = error instanceof Error ? error.message : String(error);
    notebook.cells.push({
      cell_type: "markdown",
      metadata: {},
      source: `# ${chapter.number} ${titleOf(notebook, chapter.slug)}\n\n${message}`,
    });
  }
  const link: PageLink = {
    slug: chapter.slug,
    language: chapter.language,
    number: chapter.number,
    title: titleOf(notebook, chapter.slug),
  };
  const page: Content = {
    link,
    article: "",
    headings: [],
    hasMath: false,
    plots: [],
    search: [],
    notebook: chapter.path,
  };
  const usedIds = new Set(["main", "chapters", "results"]);
  const parts = { plots: page.plots, usedIds, hasMath: false };
  const html: string[] = [];
  for (const [i, cell] of notebook.cells.entries()) {
    if (cell.metadata.tags?.includes("remove-cell")) continue;
    if (cell.cell_type === "markdown") {
      const prose = await proseOf(textOf(cell.source), usedIds, dirname(chapter.path), building, link, cell);
      addProse(page, prose);
      const box = cell.metadata.tags?.includes("exercise") ? " exercise" : "";
      html.push(fold(cell, `<section class="prose${box}">${prose.html}</section>`, t.solution));
    } else if (cell.cell_type === "code" && (textOf(cell.source).trim() || cell.outputs?.length)) {
      html.push(fold(cell, codeCell(cell, i + 1, parts, t.showCode), t.solution));
    }
  }
  page.hasMath ||= parts.hasMath;
  html.splice(Math.min(1, html.length), 0, facts(chapter, report, ran, notebook));
  page.article = html.join("\n");
  return page;
}

function codeCell(
  cell: Cell,
  number: number,
  parts: Parameters<typeof renderOutputs>[1],
  showCode: string,
): string {
  const code = `<pre class="code" tabindex="0"><code>${highlight(textOf(cell.source))}</code></pre>`;
  const hidden = cell.metadata.tags?.includes("hide-input");
  const count = cell.execution_count ?? "";
  return [
    `<section class="cell" id="cell-${number}">`,
    `<div class="input"><span class="count" aria-hidden="true">[${count}]</span>`,
    hidden ? `<details><summary>${showCode}</summary>${code}</details>` : code,
    `</div>`,
    cell.outputs?.length ? `<div class="outputs">${renderOutputs(cell.outputs, parts)}</div>` : "",
    `</section>`,
  ].join("");
}

/** A cell tagged `solution` waits behind its summary until the reader wants it. */
function fold(cell: Cell, html: string, summary: string): string {
  return cell.metadata.tags?.includes("solution")
    ? `<details class="solution"><summary>${summary}</summary>${html}</details>`
    : html;
}

/** The line below the title: how long it ran, where it failed, the notebook to take away. */
function facts(
  chapter: Chapter,
  report: ChapterReport | undefined,
  ran: boolean,
  notebook: Notebook,
): string {
  const t = words[chapter.language];
  const cells = notebook.cells.filter(
    (cell) => cell.cell_type === "code" && textOf(cell.source).trim(),
  ).length;
  const items = [t.cells(cells)];
  if (report && report.status !== "invalid") items.push(t.seconds(report.seconds));
  items.push(`<a href="${chapter.slug}.ipynb" download>${t.download}</a>`);
  const line = `<p class="facts">${items.join(" · ")}</p>`;
  if (report && report.status !== "ok") {
    const { cell = 0, line: at, name = "", message = "" } = report.failure ?? {};
    const where =
      cell > 0 ? `: <a href="#cell-${cell}">${t.cell(cell)}</a>${at ? `, ${t.line(at)}` : ""}` : "";
    const what = [name, message].filter(Boolean).join(": ");
    return `${line}<p class="notice failed" role="alert">${t.notes[report.status]}${where}. ${escapeHtml(what)}</p>`;
  }
  return ran ? line : `${line}<p class="notice">${t.notRun}</p>`;
}

function addProse(page: Content, prose: Prose): void {
  page.hasMath ||= prose.hasMath;
  page.headings.push(...prose.headings);
  const heading = prose.headings.at(-1);
  const entry = page.search.at(-1);
  if (heading || !entry) {
    page.search.push({
      page: `${page.link.slug}.html`,
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
async function proseOf(
  source: string,
  usedIds: Set<string>,
  folder: string,
  building: string,
  page: PageLink,
  cell?: Cell,
): Promise<Prose> {
  const copies: [from: string, to: string][] = [];
  const prose = renderMarkdown(source, usedIds, (target, kind) => {
    if (/^(https?:|mailto:|#|data:)/.test(target)) return target;
    if (target.startsWith("attachment:")) {
      const attached = cell?.attachments?.[decodeURIComponent(target.slice("attachment:".length))];
      const [type, data] = Object.entries(attached ?? {})[0] ?? [];
      return type ? `data:${type};base64,${data}` : target;
    }
    const [file, hash = ""] = target.split("#");
    const anchor = hash ? `#${hash}` : "";
    if (kind === "link" && /\.(ipynb|md)$/.test(file)) return file.replace(/\.(ipynb|md)$/, ".html") + anchor;
    const path = resolve(folder, decodeURIComponent(file));
    if (kind === "link" && !existsSync(path)) return target;
    if (kind === "image" && !existsSync(path)) throw new Error(`${page.slug}: there is no picture ${file}`);
    copies.push([path, join(building, "assets", "files", basename(path))]);
    return `${page.language === "en" ? "" : "../"}assets/files/${encodeURIComponent(basename(path))}`;
  });
  for (const [from, to] of copies) {
    await mkdir(dirname(to), { recursive: true });
    await copyFile(from, to);
  }
  return prose;
}

/** Markdown files beside the notebooks: `index.md` opens the book, the others follow the chapters as it names them. */
async function textContents(language: Language, notebooks: string, building: string): Promise<Content[]> {
  const folder = language === "en" ? notebooks : join(notebooks, language);
  const front = await readFile(join(folder, "index.md"), "utf8").catch(() => "");
  const place = (name: string) => (front.includes(`(${name})`) ? front.indexOf(`(${name})`) : front.length);
  const names = (await readdir(folder).catch(() => [] as string[]))
    .filter((name) => name.endsWith(".md"))
    .sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));
  return Promise.all(
    names.map(async (name) => {
      const source = await readFile(join(folder, name), "utf8");
      const slug = name.replace(/\.md$/, "");
      const title = titleOf({ cells: [{ cell_type: "markdown", source }] } as Notebook, slug);
      const page: Content = {
        link: { slug, language, number: "", title },
        article: "",
        headings: [],
        hasMath: false,
        plots: [],
        search: [],
      };
      // One entry in the search for each heading, as in a notebook's cells.
      const html: string[] = [];
      const usedIds = new Set(["main", "chapters", "results"]);
      for (const part of source.split(/^(?=#{1,4} )/m)) {
        const prose = await proseOf(part, usedIds, folder, building, page.link);
        addProse(page, prose);
        html.push(prose.html);
      }
      page.article = `<section class="prose">${html.join("\n")}</section>`;
      return page;
    }),
  );
}

function frontPage(
  language: Language,
  pages: Content[],
  text: Content | undefined,
  report: RunReport | undefined,
): Content {
  const t = words[language];
  const own =
    text?.article ?? `<section class="prose"><h1>${t.title}: ${t.subtitle}</h1><p>${t.intro}</p></section>`;
  const list = chapterList(
    pages.map((page) => page.link),
    undefined,
    (link) => {
      const name = `${link.language === "en" ? "" : `${link.language}/`}${link.slug}.ipynb`;
      const chapter = report?.chapters.find((candidate) => candidate.notebook === name);
      if (!chapter) return "";
      return chapter.status === "ok"
        ? ` <span class="facts">${t.seconds(chapter.seconds)}</span>`
        : ` <span class="facts failed">${t.notes[chapter.status]}</span>`;
    },
  );
  return {
    ...{ headings: [], hasMath: false, plots: [], search: [], ...text },
    link: { slug: "index", language, number: "", title: t.title },
    article: `${own}<section class="contents" aria-label="${t.chapters}"><h2 id="contents">${t.chapters}</h2>${list}</section>`,
  };
}

/** Style, script, fonts and Plotly, once for the whole book. Plotly is minified again only when its version changes. */
async function writeAssets(building: string, previous: string): Promise<void> {
  const assets = join(building, "assets");
  const require = createRequire(import.meta.url);
  const katex = dirname(require.resolve("katex/dist/katex.min.css"));
  await mkdir(join(assets, "katex", "fonts"), { recursive: true });
  // Every browser of the last ten years reads woff2: the two older formats would triple the fonts' weight.
  const css = await readFile(join(katex, "katex.min.css"), "utf8");
  await writeFile(
    join(assets, "katex", "katex.min.css"),
    css.replace(/,url\(fonts\/[^)]*\.(woff|ttf)\) format\("[a-z]+"\)/g, ""),
  );
  await cp(join(katex, "fonts"), join(assets, "katex", "fonts"), {
    recursive: true,
    filter: (path) => !/\.(woff|ttf)$/.test(path),
  });

  const style = await readFile(join(packageRoot, "lib/book/assets/book.css"), "utf8");
  await writeFile(
    join(assets, "book.css"),
    (await esbuild.transform(style, { loader: "css", minify: true })).code,
  );
  // One classic script: from file:// a browser refuses modules.
  await esbuild.build({
    entryPoints: [join(packageRoot, "dist/lib/book/client/book.js")],
    outfile: join(assets, "book.js"),
    ...{ bundle: true, format: "iife", minify: true, target: "es2022", logLevel: "error" },
  });

  const plotly = require.resolve("plotly.js-dist/plotly.js");
  const { version } = JSON.parse(await readFile(join(dirname(plotly), "package.json"), "utf8"));
  const made = `${JSON.stringify({ plotly: version })}\n`;
  const kept = join(previous, "plotly.json");
  if (
    existsSync(join(previous, "plotly.js")) &&
    existsSync(kept) &&
    (await readFile(kept, "utf8")) === made
  ) {
    await link(join(previous, "plotly.js"), join(assets, "plotly.js")).catch(() =>
      copyFile(join(previous, "plotly.js"), join(assets, "plotly.js")),
    );
  } else {
    const source = await readFile(plotly, "utf8");
    const { code } = await esbuild.transform(source, { minify: true, legalComments: "inline" });
    await writeFile(join(assets, "plotly.js"), code);
  }
  await writeFile(join(assets, "plotly.json"), made);
}

async function folderSize(folder: string): Promise<number> {
  const { stat } = await import("node:fs/promises");
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
