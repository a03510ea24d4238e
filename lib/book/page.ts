// The frame around a chapter: header, chapters, contents of the page, previous and next.
import { createHash } from "node:crypto";
import { type Language, titleIn } from "../notebook/notebook.ts";
import { escapeHtml, scriptJson } from "../util/html.ts";
import type { Heading } from "./markdown.ts";
import { sectionOf, sections, words } from "./words.ts";

/** The one script within a page: the reader's colours, before the first paint. */
const themeScript =
  'try{const t=localStorage.getItem("slimlab-theme");if(t==="light"||t==="dark")document.documentElement.dataset.theme=t}catch{}';

/**
 * What a page may do: run the book's own scripts and no others, whatever a notebook put out; reach no other host, but for
 * pictures that prose links to. `file:` is the book opened from its folder.
 */
export const policy = policyOf(false);

/** @param unpacks Plotly is a site's, which lies compressed: its page fetches it and runs what it unpacks */
function policyOf(unpacks: boolean): string {
  const theme = createHash("sha256").update(themeScript).digest("base64");
  return [
    "default-src 'none'",
    // WebAssembly is what slimlab's decompositions are computed with, in live figures.
    `script-src 'self' file: ${unpacks ? "blob: " : ""}'wasm-unsafe-eval' 'sha256-${theme}'`,
    ...(unpacks ? ["connect-src 'self'"] : []),
    "style-src 'self' file: 'unsafe-inline'",
    "img-src 'self' file: data: blob: https:",
    "font-src 'self' file:",
    "media-src 'self' file: data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

/** A page of the book, as the others need to know it. */
export interface PageLink {
  slug: string;
  language: Language;
  number: string;
  title: string;
  /** Found by links and the search, and not in the list of chapters. */
  unlisted?: boolean;
}

/** A whole page. */
export interface PageParts {
  link: PageLink;
  /** All pages of its language, in their order, the front page not among them. */
  pages: PageLink[];
  /** The same page in the other language, as an address from this one. */
  otherLanguage: string | undefined;
  article: string;
  headings: Heading[];
  hasMath: boolean;
  /** The script with the page's charts, where it has any. */
  plotScript?: string;
  /** Whether Plotly comes compressed. */
  unpacks?: boolean;
  footer: string;
}

/** The page as an HTML document. */
export function renderPage(page: PageParts): string {
  const { link, pages } = page;
  const t = words[link.language];
  const root = link.language === "en" ? "" : "../";
  const index = pages.findIndex((other) => other.slug === link.slug);
  const front = link.slug === "index";
  const title = titleIn(link.language, link.title);
  const previous = front
    ? undefined
    : (pages[index - 1] ?? { slug: "index", number: "", title: t.title, language: link.language });
  const next = front ? pages[0] : index < 0 ? undefined : pages[index + 1];
  const toc = page.headings.filter(({ level }) => level === 2 || level === 3);
  const home = "index.html";

  return `<!doctype html>
<html lang="${t.lang}" data-root="${root}" data-language="${link.language}">
<head>
<meta charset="utf-8">
<meta http-equiv="content-security-policy" content="${escapeHtml(policyOf(page.unpacks ?? false))}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(front ? `${t.title}: ${t.subtitle}` : `${link.number ? `${link.number} ` : ""}${title} – ${t.title}`)}</title>
<meta name="description" content="${escapeHtml(front ? t.intro : `${title} – ${t.subtitle}`)}">
<link rel="icon" href="data:image/svg+xml,${encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="M1 3h14v3H1z" fill="#0072B2"/><path d="M3 7h10v3H3z" fill="#009E73"/><path d="M6 11h4v3H6z" fill="#D55E00"/></svg>')}">
<script>${themeScript}</script>
${page.hasMath ? `<link rel="stylesheet" href="${root}assets/katex/katex.min.css">\n` : ""}<link rel="stylesheet" href="${root}assets/book.css">
<script src="${root}assets/book.js" defer></script>
</head>
<body${page.plotScript ? ` data-plots="${escapeHtml(page.plotScript)}"` : ""}>
<a class="skip" href="#main">${t.skip}</a>
<header class="top">
<a class="menu" href="#chapters" aria-label="${t.chapters}"><span aria-hidden="true">☰</span></a>
<a class="brand" href="${home}">${t.title}</a>
<form class="search" role="search" hidden><input type="search" aria-label="${t.search}" placeholder="${t.search}" autocomplete="off" aria-controls="results"><div id="results" class="results" aria-live="polite" data-none="${t.noResults}" hidden></div></form>
<div class="tools">
${page.otherLanguage ? `<a class="language" href="${escapeHtml(page.otherLanguage)}" hreflang="${link.language === "en" ? "zh-Hans" : "en"}" lang="${link.language === "en" ? "zh-Hans" : "en"}">${t.language}</a>` : ""}
<button class="theme" type="button" aria-label="${t.theme}" title="${t.theme}" hidden><span aria-hidden="true">◐</span></button>
</div>
</header>
<div class="frame">
<main id="main" tabindex="-1">
<article data-copy="${t.copy}" data-copied="${t.copied}" data-save="${t.save}">
${page.article}
</article>
<nav class="turn" aria-label="${t.previous}, ${t.next}">
${previous ? `<a rel="prev" href="${encodeURIComponent(previous.slug)}.html"><span>${t.previous}</span> ${linkText(previous)}</a>` : "<span></span>"}
${next ? `<a rel="next" href="${encodeURIComponent(next.slug)}.html"><span>${t.next}</span> ${linkText(next)}</a>` : ""}
</nav>
<footer>${page.footer}</footer>
</main>
<nav class="chapters" id="chapters" aria-label="${t.chapters}">
<p class="nav-title"><a href="${home}"${front ? ' aria-current="page"' : ""}>${t.title}</a></p>
${chapterList(pages, link)}
</nav>
${
  toc.length > 1
    ? `<nav class="toc" aria-label="${t.onThisPage}"><p class="nav-title">${t.onThisPage}</p><ul>${toc
        .map(
          ({ level, id, text }) =>
            `<li class="level-${level}"><a href="#${encodeURIComponent(id)}">${escapeHtml(text)}</a></li>`,
        )
        .join("")}</ul></nav>`
    : ""
}
</div>
</body>
</html>
`;
}

/** The chapters as a nested list; `current` is marked. `extra` adds to each entry. */
export function chapterList(
  pages: PageLink[],
  current?: PageLink,
  extra: (page: PageLink) => string = () => "",
): string {
  if (pages.length === 0) return "";
  const t = words[pages[0].language];
  const groups = new Map<string, PageLink[]>();
  for (const page of pages) {
    const section = page.number ? sectionOf(page.number) : "";
    groups.set(section, [...(groups.get(section) ?? []), page]);
  }
  return [...groups]
    .map(([section, members]) => {
      const name = section ? sections[section]?.[members[0].language] : t.guides;
      const alone = members.length === 1 && members[0].number === section && section !== "";
      const items = members.map((page) => {
        const here = page.slug === current?.slug ? ' aria-current="page"' : "";
        return `<li><a href="${encodeURIComponent(page.slug)}.html"${here}>${linkText(page)}</a>${extra(page)}</li>`;
      });
      const heading =
        name && !alone ? `<p class="group">${section ? `${section} ` : ""}${escapeHtml(name)}</p>` : "";
      return `${heading}<ul${alone ? ' class="alone"' : ""}>${items.join("")}</ul>`;
    })
    .join("\n");
}

function linkText(page: PageLink): string {
  return (
    (page.number ? `<span class="number">${page.number}</span> ` : "") +
    escapeHtml(titleIn(page.language, page.title))
  );
}

/** A script that hands data to the pages' own script; unlike fetch, it works from file:// too. */
export function dataScript(name: string, value: unknown): string {
  return `window.${name}=${scriptJson(value)};\n`;
}
