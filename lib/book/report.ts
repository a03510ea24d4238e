// A report of one page that stands alone: the book's looks, pictures and tables in one HTML file without a script.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Language, languages } from "../notebook/notebook.ts";
import type { Figure } from "../plots/figure.ts";
import { renderSvg } from "../plots/svg.ts";
import { checkOneOf } from "../util/check.ts";
import { packageRoot } from "../util/files.ts";
import { escapeHtml } from "../util/html.ts";
import { highlight } from "./highlight.ts";
import { freeId, renderMarkdown } from "./markdown.ts";
import { words } from "./words.ts";

/** What stands in a section, one below the other. */
export type ReportPart =
  /** Prose, Markdown without raw HTML. */
  | { markdown: string }
  | { figure: Figure }
  /** Cells that are text already; numbers to the right. */
  | { head: readonly string[]; rows: readonly (readonly (string | number)[])[] }
  | { code: string; language: string };

/** A section under a heading of its own. */
export interface ReportSection {
  heading: string;
  parts: readonly ReportPart[];
}

/** A report. */
export interface Report {
  language: Language;
  title: string;
  /** What a reader with one minute reads: Markdown. */
  summary: string;
  sections: readonly ReportSection[];
}

// Nothing runs and nothing is fetched, whatever names and texts the report is made of.
const policy =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

// Beside the book's sheet: one column, and numbers that line up.
const ownStyle = `.frame.report{grid-template-columns:minmax(0,54rem)}.frame.report>main{grid-column:1}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}.report td:first-child{min-width:12rem}td.number{white-space:nowrap}.contents{columns:2 14rem}`;

/**
 * A report as an HTML document.
 *
 * @throws RangeError for a language that the book does not have
 */
export async function renderReport(report: Report): Promise<string> {
  const { title, summary, sections } = report;
  const t = words[checkOneOf("language", report.language, languages)];
  const style = await readFile(join(packageRoot, "lib", "book", "assets", "book.css"), "utf8");
  const ids = new Set<string>();
  const placed = sections.map((section, i) => ({ ...section, id: freeId(`part-${i + 1}`, ids) }));
  const contents = placed
    .map(({ id, heading }) => `<li><a href="#${id}">${escapeHtml(heading)}</a></li>`)
    .join("");
  const body = placed
    .map(
      ({ id, heading, parts }) =>
        `<h2 id="${id}">${escapeHtml(heading)}</h2>\n${parts.map((part) => renderPart(part, ids)).join("\n")}`,
    )
    .join("\n");
  return `<!doctype html>
<html lang="${t.lang}">
<head>
<meta charset="utf-8">
<meta http-equiv="content-security-policy" content="${escapeHtml(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)} – ${t.title}</title>
<style>
${style}
${ownStyle}
</style>
</head>
<body>
<div class="frame report">
<main id="main">
<article>
<h1>${escapeHtml(title)}</h1>
${renderMarkdown(summary, ids).html}
<nav aria-label="${t.onThisPage}"><ul class="contents">${contents}</ul></nav>
${body}
</article>
</main>
</div>
</body>
</html>
`;
}

/** A number and nothing else but its unit: a sentence may begin with a number, too. */
const amount = /^[≤≥]? ?[-–+]?[\d.,]+(?:e[-+]?\d+)?(?: ?(?:%|[kKMG]?B|m?s|dB))?$/;

function renderPart(part: ReportPart, ids: Set<string>): string {
  if ("markdown" in part) return renderMarkdown(part.markdown, ids).html;
  if ("code" in part) return `<pre tabindex="0"><code>${highlight(part.code, part.language)}</code></pre>`;
  if ("figure" in part) {
    const { figure } = part;
    const svg = renderSvg(figure.data, figure.layout, { title: false });
    const caption = figure.title ? `<figcaption>${escapeHtml(figure.title)}</figcaption>` : "";
    return `<figure class="plot" aria-label="${escapeHtml(figure.alt)}">${caption}<div class="chart">${svg}</div></figure>`;
  }
  const { head, rows } = part;
  const isNumber = head.map(
    (_, i) =>
      rows.length > 0 &&
      rows.every((row) => typeof row[i] === "number" || row[i] === "" || amount.test(String(row[i]))),
  );
  const line = (tag: string, cells: readonly (string | number)[]) =>
    `<tr>${cells
      .map((cell, i) => `<${tag}${isNumber[i] ? ' class="number"' : ""}>${escapeHtml(String(cell))}</${tag}>`)
      .join("")}</tr>`;
  return (
    `<div class="table" tabindex="0" role="region" aria-label="${escapeHtml(head.join(", "))}"><table>` +
    `<thead>${line("th", head)}</thead><tbody>${rows.map((row) => line("td", row)).join("")}</tbody></table></div>`
  );
}
