// What a cell put out, as HTML: every MIME type that a notebook may hold.

import { type Language, textOf } from "../notebook/notebook.ts";
import type { PlotlyLayout, PlotlyTrace } from "../plots/plotly.ts";
import { plainTitle } from "../plots/plotly.ts";
import { renderSvg } from "../plots/svg.ts";
import { ownTexts } from "../texts/index.ts";
import { shown } from "../util/check.ts";
import type { MimeBundle } from "../util/display.ts";
import { escapeHtml } from "../util/html.ts";
import { ansiToHtml, settleLines } from "./ansi.ts";
import { imageAddress } from "./links.ts";
import { renderMarkdown } from "./markdown.ts";
import { troubleInMarkup } from "./markup.ts";
import { reasonOf, words } from "./words.ts";

/** What Plotly draws; kept beside the page, which loads it when the reader comes near. */
export interface PlotData {
  data: PlotlyTrace[];
  layout: PlotlyLayout;
  frames?: unknown[];
}

/** The charts of a page, in their order: an output adds to them. */
export interface PageParts {
  language: Language;
  plots: PlotData[];
  usedIds: Set<string>;
  hasMath: boolean;
}

/**
 * Outputs as HTML. Streams that follow each other become one, as a terminal would show them. An output that is not what
 * the notebook format says costs its own place only, and says so there.
 *
 * @param outputs a cell's outputs as its file has them, checked here
 */
export function renderOutputs(outputs: unknown, page: PageParts): string {
  const t = words[page.language];
  const html: string[] = [];
  let stream = "";
  let streamName = "";
  const flush = () => {
    const text = settleLines(stream).replace(/\n$/, "");
    if (text.trim()) html.push(`<pre class="stream ${streamName}" tabindex="0">${ansiToHtml(text)}</pre>`);
    stream = "";
  };
  for (const output of Array.isArray(outputs) ? outputs : [outputs]) {
    const plots = page.plots.length;
    try {
      if (output?.output_type === "stream") {
        if (output.name !== streamName) flush();
        streamName = output.name === "stderr" ? "stderr" : "stdout";
        stream += textOf(output.text);
        continue;
      }
      flush();
      html.push(renderOutput(output, page));
    } catch (error) {
      page.plots.length = plots;
      const reason = t.broken.output(reasonOf(error, page.language));
      html.push(`<p class="notice failed" role="alert">${escapeHtml(reason)}</p>`);
    }
  }
  flush();
  return html
    .filter(Boolean)
    .map((piece) => `<div class="output">${piece}</div>`)
    .join("\n");
}

function renderOutput(output: unknown, page: PageParts): string {
  if (typeof output !== "object" || output === null) throw new Error(`it is no object, but ${shown(output)}`);
  const { output_type: type, traceback, ename, evalue, data } = output as Record<string, unknown>;
  if (type === "error") {
    const lines = Array.isArray(traceback) ? traceback.map(textOf).join("\n") : textOf(traceback);
    const trace = lines || `${textOf(ename)}: ${textOf(evalue)}`;
    return `<pre class="error" role="alert" tabindex="0">${ansiToHtml(trace)}</pre>`;
  }
  if (type !== "display_data" && type !== "execute_result")
    throw new Error(`its output_type is ${shown(type)}`);
  if (typeof data !== "object" || data === null) throw new Error(`its data are ${shown(data)}`);
  return renderBundle(data as MimeBundle, page);
}

/** The richest form of a value that a page can show. */
export function renderBundle(bundle: MimeBundle, page: PageParts): string {
  const plotly = bundle["application/vnd.plotly.v1+json"] as PlotData | undefined;
  if (plotly && Array.isArray(plotly.data)) return renderPlot(plotly, bundle, page);
  if (bundle["text/html"] !== undefined)
    return `<div class="rich" tabindex="0">${asMarkup(textOf(bundle["text/html"]))}</div>`;
  if (bundle["image/svg+xml"] !== undefined)
    return `<div class="picture">${inlineSvg(textOf(bundle["image/svg+xml"]))}</div>`;
  for (const type of ["image/png", "image/jpeg", "image/gif", "image/webp"]) {
    if (bundle[type] === undefined) continue;
    const alt = textOf(bundle["text/plain"]) || words[page.language].picture;
    const address = imageAddress(type, bundle[type]);
    if (!address) throw new Error(`its ${type} is not base64`);
    return `<div class="picture"><img src="${address}" alt="${escapeHtml(alt)}"></div>`;
  }
  const markdown =
    bundle["text/markdown"] !== undefined
      ? textOf(bundle["text/markdown"])
      : bundle["text/latex"] !== undefined
        ? asMath(textOf(bundle["text/latex"]))
        : undefined;
  if (markdown !== undefined) {
    const prose = renderMarkdown(markdown, page.usedIds);
    page.hasMath ||= prose.hasMath;
    return `<div class="prose">${prose.html}</div>`;
  }
  if (bundle["application/json"] !== undefined) {
    return `<pre class="text" tabindex="0">${escapeHtml(JSON.stringify(bundle["application/json"], null, 2))}</pre>`;
  }
  const plain = textOf(bundle["text/plain"]);
  return plain ? `<pre class="text" tabindex="0">${ansiToHtml(plain)}</pre>` : "";
}

/** LaTeX comes with its own dollars or brackets, as an environment, or bare. */
function asMath(latex: string): string {
  const text = latex.trim();
  const bare = text.replace(/^\$\$?([\s\S]*?)\$?\$$/, "$1").replace(/^\\[[(]([\s\S]*)\\[\])]$/, "$1");
  return `$$\n${bare.trim()}\n$$`;
}

function renderPlot(plotly: PlotData, bundle: MimeBundle, page: PageParts): string {
  const layout = (typeof plotly.layout === "object" && plotly.layout) || {};
  const title = plainTitle(layout);
  const described = (layout.meta as { alt?: unknown } | undefined)?.alt;
  const alt =
    (typeof described === "string" && described) ||
    title ||
    textOf(bundle["text/plain"]) ||
    words[page.language].chart;
  const index = page.plots.push({ ...plotly, layout }) - 1;
  let svg: string;
  try {
    const texts = ownTexts(page.language);
    // The page shows the title as a caption that wraps.
    svg = renderSvg(plotly.data, layout, { title: false, ...(texts && { say: (text) => texts.say(text) }) });
  } catch {
    svg = bundle["image/svg+xml"]
      ? inlineSvg(textOf(bundle["image/svg+xml"]))
      : `<p>${escapeHtml(alt)}</p><noscript><p>${words[page.language].needsScripts}</p></noscript>`;
  }
  return [
    `<figure class="plot" data-plot="${index}" aria-label="${escapeHtml(alt)}">`,
    title ? `<figcaption>${escapeHtml(title)}</figcaption>` : "",
    `<div class="chart">${svg}</div></figure>`,
  ].join("");
}

/** Markup that a cell puts out is shown as it is, where it leaves the page around it whole; no script in it runs. */
function asMarkup(html: string): string {
  const trouble = troubleInMarkup(html);
  if (trouble) throw new Error(trouble);
  return html;
}

/** An SVG document as an element of the page. */
function inlineSvg(svg: string): string {
  return asMarkup(svg.replace(/<\?xml[^>]*\?>|<!DOCTYPE[^>]*>/g, "").trim());
}
