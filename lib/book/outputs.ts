// What a cell put out, as HTML: every MIME type that a notebook may hold.

import type { Output } from "../notebook/notebook.ts";
import { textOf } from "../notebook/notebook.ts";
import { plainTitle } from "../plots/figure.ts";
import type { PlotlyLayout, PlotlyTrace } from "../plots/plotly.ts";
import { renderSvg } from "../plots/svg.ts";
import type { MimeBundle } from "../util/display.ts";
import { escapeHtml } from "../util/html.ts";
import { ansiToHtml, settleLines } from "./ansi.ts";
import { renderMarkdown } from "./markdown.ts";

/** What Plotly draws; kept beside the page, which loads it when the reader comes near. */
export interface PlotData {
  data: PlotlyTrace[];
  layout: PlotlyLayout;
  frames?: unknown[];
}

/** The charts of a page, in their order: an output adds to them. */
export interface PageParts {
  plots: PlotData[];
  usedIds: Set<string>;
  hasMath: boolean;
}

/** Outputs as HTML. Streams that follow each other become one, as a terminal would show them. */
export function renderOutputs(outputs: Output[], page: PageParts): string {
  const html: string[] = [];
  let stream = "";
  let streamName = "";
  const flush = () => {
    const text = settleLines(stream).replace(/\n$/, "");
    if (text.trim()) html.push(`<pre class="stream ${streamName}" tabindex="0">${ansiToHtml(text)}</pre>`);
    stream = "";
  };
  for (const output of outputs) {
    if (output.output_type === "stream") {
      if (output.name !== streamName) flush();
      streamName = output.name === "stderr" ? "stderr" : "stdout";
      stream += textOf(output.text);
      continue;
    }
    flush();
    if (output.output_type === "error") {
      const trace =
        output.traceback?.length > 0 ? output.traceback.join("\n") : `${output.ename}: ${output.evalue}`;
      html.push(`<pre class="error" role="alert" tabindex="0">${ansiToHtml(trace)}</pre>`);
    } else {
      html.push(renderBundle(output.data ?? {}, page));
    }
  }
  flush();
  return html
    .filter(Boolean)
    .map((piece) => `<div class="output">${piece}</div>`)
    .join("\n");
}

/** The richest form of a value that a page can show. */
export function renderBundle(bundle: MimeBundle, page: PageParts): string {
  const plotly = bundle["application/vnd.plotly.v1+json"] as PlotData | undefined;
  if (plotly && Array.isArray(plotly.data)) return renderPlot(plotly, bundle, page);
  // Scripts and markup that a cell puts out are trusted: this is the reader's own run of the reader's own code.
  if (bundle["text/html"] !== undefined)
    return `<div class="rich" tabindex="0">${textOf(bundle["text/html"])}</div>`;
  if (bundle["image/svg+xml"] !== undefined)
    return `<div class="picture">${inlineSvg(textOf(bundle["image/svg+xml"]))}</div>`;
  for (const type of ["image/png", "image/jpeg", "image/gif", "image/webp"]) {
    if (bundle[type] === undefined) continue;
    const alt = textOf(bundle["text/plain"]) || "Picture put out by the cell";
    return `<div class="picture"><img src="data:${type};base64,${textOf(bundle[type]).replace(/\s/g, "")}" alt="${escapeHtml(alt)}"></div>`;
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
  const index = page.plots.push(plotly) - 1;
  const layout = plotly.layout ?? {};
  const title = plainTitle(layout);
  const alt =
    (layout.meta as { alt?: string } | undefined)?.alt || title || textOf(bundle["text/plain"]) || "Chart";
  let svg: string;
  try {
    svg = renderSvg(plotly.data, layout, { title: false }); // the page shows the title as a caption that wraps
  } catch {
    svg = bundle["image/svg+xml"]
      ? inlineSvg(textOf(bundle["image/svg+xml"]))
      : `<p>${escapeHtml(alt)}</p><noscript><p>This chart needs scripts.</p></noscript>`;
  }
  return [
    `<figure class="plot" data-plot="${index}" aria-label="${escapeHtml(alt)}">`,
    title ? `<figcaption>${escapeHtml(title)}</figcaption>` : "",
    `<div class="chart">${svg}</div></figure>`,
  ].join("");
}

/** An SVG document as an element of the page. */
function inlineSvg(svg: string): string {
  return svg.replace(/<\?xml[^>]*\?>|<!DOCTYPE[^>]*>/g, "").trim();
}
