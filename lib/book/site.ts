// Executed notebooks into a static site that works from a folder, with no server and no network.
// mystmd, the generator made for this, downloads its template when it builds; so pages are put together here, and the
// work on prose, mathematics, code and charts is done by markdown-it, KaTeX, Lezer and Plotly.
import { randomBytes } from "node:crypto";
import { existsSync, realpathSync } from "node:fs";
import { copyFile, cp, link, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, posix, relative, resolve, sep } from "node:path";
import * as esbuild from "esbuild";
import { type Chapter, findChapters, type Language, languages, textOf } from "../notebook/notebook.ts";
import type { RunReport } from "../notebook/report.ts";
import { packageRoot } from "../util/files.ts";
import { folderSize, replaceFolder } from "../util/folders.ts";
import { escapeHtml } from "../util/html.ts";
import { isAlive } from "../util/process.ts";
import { slimlabVersion } from "../util/version.ts";
import {
  type Content,
  notebookContent,
  referenceContent,
  type Shelf,
  type SiteAround,
  statusNote,
  textContent,
} from "./chapter.ts";
import { decoded, Links } from "./links.ts";
import { liveData } from "./live.ts";
import { freeId } from "./markdown.ts";
import { chapterList, dataScript, renderPage } from "./page.ts";
import { type HidePaths, pathHider } from "./paths.ts";
import type { ReferencePage } from "./reference/pages.ts";
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
  /** The pages of the API reference. */
  reference?: readonly ReferencePage[];
  /** The site that the book is a part of; without one it brings along all that its pages need. */
  site?: SiteAround;
}

/** What was built. */
export interface Book {
  index: string;
  pages: number;
  bytes: number;
  /** Links that lead to no page, or to no place on it: `page: target`. */
  brokenLinks: string[];
  /** Links and pictures whose files the book does not hold, with the reason: `page: target (reason)`. */
  leftOut: string[];
}

/** Builds the book. */
export async function buildBook(options: BookOptions): Promise<Book> {
  const output = resolve(options.output);
  await checkReplaceable(output);
  await sweepLeftovers(output);
  const building = `${output}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
  try {
    await mkdir(join(building, "assets"), { recursive: true });
    const { pages, brokenLinks, leftOut, report } = await writePages(options, building);
    await writeAssets(building, join(output, "assets"), options.site?.plotly);
    if (report) await writeFile(join(building, "run.json"), `${JSON.stringify(report, null, 2)}\n`);
    const { bytes } = await folderSize(building);
    await replaceFolder(output, building, `${building}.old`);
    return { index: join(output, "index.html"), pages, bytes, brokenLinks, leftOut };
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

/** Removes what builds that were killed have left beside the book, and gives back a book that one had just put aside. */
async function sweepLeftovers(output: string): Promise<void> {
  const leftover = /\.(?:(\d+)-)?[0-9a-f]{8}\.tmp(\.old)?$/;
  for (const name of await readdir(dirname(output)).catch(() => [] as string[])) {
    const match = name.startsWith(`${basename(output)}.`) && leftover.exec(name);
    if (!match || name.length !== basename(output).length + match[0].length) continue;
    if (match[1] && isAlive(Number(match[1]))) continue; // another build, at work
    const path = join(dirname(output), name);
    if (match[2] && !existsSync(output)) await rename(path, output);
    else await rm(path, { recursive: true, force: true });
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

/** A page to be: the file that it is made of, and its name. */
interface Source {
  path: string;
  slug: string;
  language: Language;
  /** What is known of it, where it is a notebook. */
  chapter?: Chapter;
}

async function writePages(
  options: BookOptions,
  building: string,
): Promise<{ pages: number; brokenLinks: string[]; leftOut: string[]; report: RunReport | undefined }> {
  const root = realpathSync(options.notebooks);
  const sources = await findSources(options.notebooks);
  const shelf: Shelf = {
    links: new Links(root, new Map(sources.map(({ path, slug }) => [resolve(path), `${slug}.html`]))),
    hidePaths: pathHider([root, resolve(options.notebooks)]),
    executed: options.executed,
    site: options.site,
  };
  const report = options.report && shelf.hidePaths(checkedReport(options.report));
  const contents = new Map<Language, Content[]>();
  for (const language of languages) {
    const pages = await Promise.all(
      sources
        .filter((source) => source.language === language)
        .map((source) => contentOf(source, options.notebooks, report, shelf)),
    );
    if (language !== "en" && pages.length === 0) continue;
    const front = pages.findIndex(({ link }) => link.slug === "index");
    const text = front >= 0 ? pages.splice(front, 1)[0] : undefined;
    pages.push(...(options.reference ?? []).filter((one) => one.language === language).map(referenceContent));
    pages.unshift(frontPage(language, pages, text, report));
    contents.set(language, pages);
  }
  const written = new Map<string, string>();
  for (const [language, pages] of contents) {
    explainTerms(pages);
    const folder = language === "en" ? building : join(building, language);
    await mkdir(folder, { recursive: true });
    const frame = { language, contents, report, hidePaths: shelf.hidePaths, site: shelf.site };
    for (const page of pages) {
      const html = await writePage(page, folder, frame);
      written.set(`${language === "en" ? "" : `${language}/`}${page.link.slug}.html`, html);
    }
    const index = pages.flatMap((page) => page.search);
    await writeFile(join(building, "assets", `search-${language}.js`), dataScript("slimlabIndex", index));
  }
  await shelf.links.copyTo(join(building, "assets"));
  return { pages: written.size, brokenLinks: brokenLinksIn(written), leftOut: shelf.links.leftOut, report };
}

/** All notebooks and Markdown files of the folder, each with a name of its own in its language. */
async function findSources(notebooks: string): Promise<Source[]> {
  const chapters = await findChapters(notebooks);
  const sources: Source[] = [];
  for (const language of languages) {
    const used = new Set(["index"]); // the front page, made of index.md
    const own = chapters.filter((chapter) => chapter.language === language);
    for (const chapter of own)
      sources.push({ path: chapter.path, slug: freeId(chapter.slug, used), language, chapter });
    const folder = language === "en" ? notebooks : join(notebooks, language);
    for (const path of await textsIn(folder)) {
      const name = basename(path, ".md");
      sources.push({ path, slug: name === "index" ? name : freeId(name, used), language });
    }
  }
  return sources;
}

/** Markdown files beside the notebooks, in the order in which `index.md` names them. */
async function textsIn(folder: string): Promise<string[]> {
  const front = await readFile(join(folder, "index.md"), "utf8").catch(() => "");
  const place = (name: string) => (front.includes(`(${name})`) ? front.indexOf(`(${name})`) : front.length);
  return (await readdir(folder).catch(() => [] as string[]))
    .filter((name) => name.endsWith(".md") && !name.startsWith("."))
    .sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1))
    .map((name) => join(folder, name));
}

function contentOf(
  { path, slug, language, chapter }: Source,
  notebooks: string,
  report: RunReport | undefined,
  shelf: Shelf,
): Promise<Content> {
  if (!chapter) return textContent(path, slug, language, shelf);
  const name = relative(notebooks, path).split(sep).join("/");
  const own = report?.chapters.find((candidate) => candidate.notebook === name);
  return notebookContent(chapter, slug, name, own, shelf);
}

/** The report of a run as run.json has it; its lists are lists, and its versions text. */
function checkedReport(report: RunReport): RunReport {
  const chapters: unknown = report.chapters;
  return {
    ...report,
    node: textOf(report.node),
    chapters: (Array.isArray(chapters) ? chapters : []).filter(
      (chapter) => typeof chapter === "object" && chapter !== null,
    ),
  };
}

interface Frame {
  language: Language;
  contents: Map<Language, Content[]>;
  report: RunReport | undefined;
  hidePaths: HidePaths;
  site: SiteAround | undefined;
}

/** Writes a page and what belongs to it; returns its HTML. */
async function writePage(page: Content, folder: string, frame: Frame): Promise<string> {
  const { language, contents, report, hidePaths, site } = frame;
  const { link, plots } = page;
  const address = encodeURIComponent(link.slug);
  const other = language === "en" ? "zh" : "en";
  const twin = contents.get(other)?.some((candidate) => candidate.link.slug === link.slug)
    ? address
    : "index";
  const way = language === "en" ? "zh/" : "../";
  if (plots.length > 0)
    await writeFile(join(folder, `${link.slug}.plots.js`), dataScript("slimlabPlots", plots));
  if (page.notebook && !site) {
    const text = await readFile(page.notebook, "utf8");
    await writeFile(join(folder, `${link.slug}.ipynb`), hidePaths(text));
  }
  const html = renderPage({
    ...page,
    pages: contents
      .get(language)!
      .flatMap(({ link }) => (link.slug === "index" || link.unlisted ? [] : [link])),
    otherLanguage: contents.has(other) ? `${way}${twin}.html` : undefined,
    plotScript: plots.length > 0 ? `${address}.plots.js` : undefined,
    unpacks: site !== undefined,
    footer: escapeHtml(words[language].made(slimlabVersion, report?.node || process.versions.node)),
  });
  await writeFile(join(folder, `${link.slug}.html`), html);
  return html;
}

/** Links into the glossary show the term's definition before they are followed. */
function explainTerms(pages: Content[]): void {
  const glossary = pages.find(({ link }) => link.slug === "glossary");
  const definitions = new Map(glossary?.search.map(({ id, text }) => [id, text.replaceAll("\n", " ")]));
  for (const page of pages) {
    page.article = page.article.replace(/<a href="glossary\.html#([^"]*)"/g, (anchor, id) => {
      const definition = definitions.get(decoded(id));
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
      const target = file ? posix.join(posix.dirname(name), decoded(file)) : name;
      if (target.startsWith("assets/")) continue; // an HTML file of the notebooks' folder, taken along
      const places = anchors.get(target);
      if (!places || (hash && !places.has(escapeHtml(decoded(hash))))) broken.push(`${name}: ${href}`);
    }
  }
  return broken;
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
    pages.flatMap(({ link }) => (link.unlisted ? [] : [link])),
    undefined,
    (link) => {
      const name = `${link.language === "en" ? "" : `${link.language}/`}${link.slug}.ipynb`;
      const chapter = report?.chapters.find((candidate) => candidate.notebook === name);
      if (!chapter) return "";
      return chapter.status === "ok"
        ? ` <span class="facts">${t.seconds(Number(chapter.seconds))}</span>`
        : ` <span class="facts failed">${statusNote(language, chapter)}</span>`;
    },
  );
  return {
    ...{ headings: [], hasMath: false, plots: [], search: [], ...text },
    link: { slug: "index", language, number: "", title: t.title },
    article: `${own}<section class="contents" aria-label="${t.chapters}"><h2 id="contents">${t.chapters}</h2>${list}</section>`,
  };
}

/** Style, script, fonts and Plotly, once for the whole book. Plotly is minified again only when its version changes. */
async function writeAssets(building: string, previous: string, shared?: string): Promise<void> {
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
  await writeScript("book.js", join(assets, "book.js"));
  await writeScript("live/index.js", join(assets, "live.js"));
  await writeFile(join(assets, "live-data.js"), dataScript("slimlabLiveData", await liveData()));

  if (shared) {
    const plotlyFile = JSON.stringify(`../${shared}`);
    await writeScript("shared-plotly.js", join(assets, "plotly.js"), { plotlyFile });
    return;
  }
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

/** A script for the pages, classic because a browser refuses modules from file://. */
async function writeScript(
  entry: string,
  outfile: string,
  define: Record<string, string> = {},
): Promise<void> {
  await esbuild.build({
    entryPoints: [join(packageRoot, "dist/lib/book/client", entry)],
    outfile,
    define,
    bundle: true,
    format: "iife",
    minify: true,
    target: "es2022",
    conditions: ["browser"],
    logLevel: "error",
  });
}
