import assert from "node:assert/strict";
import { ansiToHtml, settleLines } from "../../lib/book/ansi.ts";
import { highlight } from "../../lib/book/highlight.ts";
import { renderMarkdown } from "../../lib/book/markdown.ts";
import { renderOutputs } from "../../lib/book/outputs.ts";
import type { Output } from "../../lib/notebook/notebook.ts";
import { lines } from "../../lib/plots/index.ts";
import { scriptJson, slugify } from "../../lib/util/html.ts";
import { shown } from "../chapters/notebooks.ts";

const page = () => ({
  language: "en" as const,
  plots: [] as never[],
  usedIds: new Set<string>(),
  hasMath: false,
});
const display = (data: Record<string, unknown>): Output => ({
  output_type: "display_data",
  data,
  metadata: {},
});

describe("outputs as HTML", () => {
  it("terminal text keeps its colours and nothing else of its escapes", () => {
    assert.equal(
      ansiToHtml("\x1b[1;31mred\x1b[22m <b>\x1b[0m plain\x1b[38;5;9m x\x1b[39m\x1b[2J\x1b]0;title\x07."),
      '<span class="ansi-bold ansi-red">red</span><span class="ansi-red"> &lt;b&gt;</span> plain x.',
    );
    assert.equal(settleLines("1/3\r2/3\r3/3 done\nnext\r\nlast\r"), "3/3 done\nnext\nlast");
  });

  it("streams that follow each other become one, errors keep their traceback", () => {
    const html = renderOutputs(
      [
        { output_type: "stream", name: "stdout", text: "a\n" },
        { output_type: "stream", name: "stdout", text: ["b", "\n"] },
        { output_type: "stream", name: "stderr", text: "c\n" },
        {
          output_type: "error",
          ename: "E",
          evalue: "v",
          traceback: ["\x1b[31mE\x1b[0m: v", "  at cell 1:2"],
        },
      ],
      page(),
    );
    assert.match(html, /<pre class="stream stdout"[^>]*>a\nb<\/pre>/);
    assert.match(html, /<pre class="stream stderr"[^>]*>c<\/pre>/);
    assert.match(html, /<pre class="error"[^>]*><span class="ansi-red">E<\/span>: v\n {2}at cell 1:2<\/pre>/);
  });

  it("the richest form of a bundle is shown", () => {
    const html = (data: Record<string, unknown>) => renderOutputs([display(data)], page());
    assert.match(
      html({ "text/html": ["<table>", "</table>"], "text/plain": "p" }),
      /<div class="rich"[^>]*><table><\/table><\/div>/,
    );
    assert.match(
      html({ "image/png": "QUJD\n", "text/plain": "a <chart>" }),
      /<img src="data:image\/png;base64,QUJD" alt="a &lt;chart&gt;">/,
    );
    assert.match(
      html({ "image/svg+xml": "<?xml version='1.0'?><svg></svg>" }),
      /<div class="picture"><svg><\/svg>/,
    );
    assert.match(html({ "text/markdown": "**b**" }), /<strong>b<\/strong>/);
    for (const latex of ["$x^2$", "$$x^2$$", "\\[x^2\\]", "x^2"])
      assert.match(html({ "text/latex": latex }), /class="katex/);
    assert.match(html({ "application/json": { a: 1 } }), /&quot;a&quot;: 1/);
    assert.match(html({ "text/plain": "1 < 2" }), /<pre class="text"[^>]*>1 &lt; 2<\/pre>/);
    assert.equal(html({}), "");
  });

  it("a chart is a figure with caption, description and picture; its data go to the page's script", () => {
    const parts = page();
    const html = renderOutputs([shown(lines([1, 2], { title: "It <rises>", alt: "From 1 to 2" }))], parts);
    assert.match(
      html,
      /<figure class="plot" data-plot="0" aria-label="From 1 to 2"><figcaption>It &lt;rises&gt;<\/figcaption>/,
    );
    assert.match(html, /<svg [^>]*role="img"/);
    assert.equal(parts.plots.length, 1);
  });

  it("a chart of a kind that the SVG does not know keeps the picture that it brought", () => {
    const html = renderOutputs(
      [
        display({
          "application/vnd.plotly.v1+json": { data: [{ type: "pie" }], layout: {} },
          "image/svg+xml": "<svg id='own'></svg>",
        }),
      ],
      page(),
    );
    assert.match(html, /<svg id='own'>/);
  });
});

describe("prose as HTML", () => {
  it("mathematics and code are rendered when the book is built", () => {
    const prose = renderMarkdown("# A $x$\n\n$$\n\\sum_i w_i\n$$\n\n```ts\nconst a = 1;\n```", new Set());
    assert.equal(prose.hasMath, true);
    assert.match(prose.html, /class="katex-display"/);
    assert.match(prose.html, /<math /, "MathML for screen readers");
    assert.match(prose.html, /<span class="code-keyword">const<\/span>/);
    assert.match(highlight("let x: number = 1"), /code-type/);
    assert.equal(highlight("<x>", "unknown"), "&lt;x&gt;");
  });

  it("raw HTML stays text, and no link runs script", () => {
    const { html } = renderMarkdown("<script>alert(1)</script> [x](javascript:alert(1))", new Set());
    assert.doesNotMatch(html, /<script|href="javascript/);
  });

  it("headings have anchors that differ, in any script", () => {
    const used = new Set<string>();
    const { headings } = renderMarkdown(
      "## The idea\n\n## The idea\n\n## 权重 剪枝!\n\n## 掩码 · The mask",
      used,
    );
    assert.deepEqual(
      headings.map(({ id }) => id),
      ["the-idea", "the-idea-2", "权重-剪枝", "the-mask"],
    );
    assert.equal(slugify("!?"), "section");
  });

  it("a script's data cannot end the script", () => {
    assert.equal(scriptJson("</script>\u2028"), '"\\u003c/script>\\u2028"');
  });
});
