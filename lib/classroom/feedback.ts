// A student's page: the notebook with verdicts where the exercises are. Everything in it comes from a stranger, so it holds
// text and pictures only: no markup of his, no script, and the page forbids them.

import { highlight } from "../book/highlight.ts";
import { renderMarkdown } from "../book/markdown.ts";
import { renderOutputs } from "../book/outputs.ts";
import { type Cell, type Output, textOf } from "../notebook/notebook.ts";
import type { Language, Texts } from "../texts/index.ts";
import type { MimeBundle } from "../util/display.ts";
import { escapeHtml } from "../util/html.ts";
import type { ExerciseGrade, Grade } from "./grades.ts";
import type { Result } from "./results.ts";
import { gradeIn, outputsIn, sayIn, textsFor } from "./speech.ts";
import { harmless } from "./submissions.ts";

const style = `body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
pre{background:#f5f5f5;padding:.6rem .8rem;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;border-radius:4px;max-height:40rem}
img,svg{max-width:100%}svg{height:auto}table{border-collapse:collapse;display:block;overflow-x:auto;max-width:100%}td,th{border:1px solid #ccc;padding:.2rem .6rem;text-align:left}
.verdict{border-left:5px solid #D55E00;padding:.4rem 1rem;margin:1rem 0}.verdict.solved{border-color:#009E73}
.verdict ul{list-style:none;margin:.3rem 0;padding:0}.verdict pre{background:none;padding:0;margin:.2rem 0}
.failed{color:#a03000}.quiet{color:#666}.outputs{margin:-.6rem 0 1rem 1rem}
.summary{list-style:none;margin:1rem 0;padding:0}
.summary li{display:flex;flex-wrap:wrap;gap:0 1rem;justify-content:space-between;border-top:1px solid #ccc;padding:.4rem 0}
.summary a{font-weight:600}.summary span{white-space:nowrap}
.summary p{flex:0 0 100%;margin:.1rem 0 0;overflow-wrap:anywhere}
:root{color-scheme:light dark}a{color:#0056b3}
@media (prefers-color-scheme:dark){body{color:#e4e4e4;background:#161616}pre{background:#262626}td,th,.summary li{border-color:#444}
.failed{color:#ff9d6e}.quiet{color:#aaa}a{color:#8ab8ff}img,svg{background:#fff}}`;

/** A page in which no script runs and which loads nothing. */
export function plainPage(title: string, body: string, language: Language = "en"): string {
  return `<!doctype html>
<html lang="${language === "zh" ? "zh-Hans" : language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
${body}
</body>
</html>
`;
}

const hiddenTest = "a hidden test · 隐藏测试";

/** Every exercise with its points, the first thing that is wrong with it, and the way to its verdict. */
function summaryHtml({ exercises, solved, reason }: Grade, say: (text: string) => string): string {
  const rows = exercises.map((one, index) => {
    const failed = one.cases.find(({ passed }) => !passed);
    const first =
      one.reason ??
      (failed?.hidden ? hiddenTest : [failed?.name, failed?.message].filter(Boolean).join(": "));
    // Where nothing could be graded, the page says why, once.
    const isSaid = one.passed || !first || (reason !== undefined && one.reason === reason);
    const why = isSaid ? "" : `<p class="failed">${shortHtml(first)}</p>`;
    const name = `${signOf(one)} ${escapeHtml(harmless(one.name))}`;
    return `<li><a href="#${verdictId(index)}">${name}</a><span>${one.points} / ${one.of}</span>${why}</li>`;
  });
  const title = say(`${solved} of ${exercises.length} solved`);
  return `<p>${escapeHtml(title)}</p><ul class="summary">${rows.join("")}</ul>`;
}

const verdictId = (index: number) => `verdict-${index + 1}`;
const signOf = ({ passed }: { passed: boolean }) => (passed ? "✓" : "✗");

/** The first line of a text, and of that what fits. */
function shortHtml(text: string): string {
  const [line, ...more] = text.split("\n");
  const letters = [...line];
  const isCut = letters.length > 160 || more.length > 0;
  return `${escapeHtml(harmless(letters.slice(0, 160).join("")))}${isCut ? " …" : ""}`;
}

/**
 * An exercise's verdict as HTML; of hidden cases it says only whether they pass.
 *
 * @param id what a link to it names
 */
export function verdictHtml(one: ExerciseGrade, id: string, say = (text: string) => text): string {
  const cases = one.cases.map(({ name, passed, message, hidden }) => {
    const sign = signOf({ passed });
    if (hidden) return `<li>${sign} ${hiddenTest}</li>`;
    const why = message ? `<pre>${escapeHtml(harmlessLines(message))}</pre>` : "";
    return `<li>${sign} ${escapeHtml(harmless(name))}${why}</li>`;
  });
  const reason = one.reason ? `<p class="failed">${escapeHtml(harmlessLines(one.reason))}</p>` : "";
  const read = one.read ? `<p>${escapeHtml(harmless(say(`Read again: ${one.read}`)))}</p>` : "";
  const title = `${signOf(one)} ${harmless(one.name)}: ${one.points} / ${one.of}`;
  return `<section class="verdict${one.passed ? " solved" : ""}" id="${id}"><strong>${escapeHtml(title)}</strong>${reason}<ul>${cases.join("")}</ul>${read}</section>`;
}

const harmlessLines = (text: string) => text.split("\n").map(harmless).join("\n");

/** A part of a page that is filled in later. Nothing of a student's can look like its bounds, for his text is escaped. */
const region = (name: "points" | "marks", html: string) => `<!--${name}-->${html}<!--/${name}-->`;

/** A student's page with the marks of a person and the points after them and lateness. */
export function withMarks(page: string, { marks, points, of, late }: Result): string {
  const rows = marks.map(({ exercise, points, of, comment, open }) => {
    const mark = open ? `? / ${of} (not marked yet · 尚未评分)` : `${points} / ${of}`;
    const state = !open && points >= of ? " solved" : "";
    return `<section class="verdict${state}"><strong>${escapeHtml(harmless(exercise))}: ${mark}</strong><p>${escapeHtml(harmlessLines(comment))}</p></section>`;
  });
  if (late) {
    const share = Math.round(100 * late.factor);
    rows.unshift(
      `<p class="quiet">${late.days} day(s) late, so ${share} % of the points. · 迟交 ${late.days} 天，得分乘以 ${share} %。</p>`,
    );
  }
  const parts = { points: `${points} / ${of}`, marks: rows.join("") };
  let html = page;
  for (const [name, text] of Object.entries(parts) as ["points" | "marks", string][]) {
    html = html.replace(new RegExp(`<!--${name}-->[\\s\\S]*?<!--/${name}-->`), () => region(name, text));
  }
  return html;
}

/**
 * A student's page, in the language of his notebook.
 *
 * @param folder that of the teacher's notebook, where tables of texts may lie
 * @param options.plain shows prose and code as they are written: where rendering them takes too long
 */
export function feedbackPage(
  submission: { student: string; notes: string[] },
  english: Grade,
  folder?: string,
  { plain = false }: { plain?: boolean } = {},
): string {
  const { language = "en" } = english;
  const texts = textsFor(language, folder);
  const grade = gradeIn(english, texts);
  const say = (text: string) => sayIn(texts, text);
  const html: string[] = [
    `<h1>${escapeHtml(submission.student)}: ${region("points", `${grade.points} / ${grade.of}`)}</h1>`,
    summaryHtml(grade, say),
    region("marks", ""),
  ];
  if (grade.reason) html.push(`<p class="failed">${escapeHtml(harmlessLines(grade.reason))}</p>`);
  for (const note of submission.notes) html.push(`<p class="quiet">${escapeHtml(harmless(say(note)))}</p>`);
  for (const failure of grade.failures) {
    const what = [failure.name, failure.message].filter(Boolean).join(": ");
    html.push(
      `<p class="failed">${escapeHtml(harmlessLines(failure.cell > 0 ? say(`Cell ${failure.cell}: ${what}`) : what))}</p>`,
    );
  }
  const left = new Map(grade.exercises.map((one, index) => [one, verdictId(index)]));
  const used = new Set(left.values());
  const cells: string[] = [];
  for (const [index, cell] of (grade.notebook?.cells ?? []).entries()) {
    cells.push(cellHtml(cell, index, used, texts, plain));
    const source = textOf(cell.source);
    for (const [one, id] of left) {
      if (cell.cell_type !== "code" || !source.includes(JSON.stringify(one.name))) continue;
      cells.push(verdictHtml(one, id, say));
      left.delete(one);
    }
  }
  // Exercises whose cell is gone stand before the notebook, where they are seen.
  html.push(...[...left].map(([one, id]) => verdictHtml(one, id, say)), ...cells);
  return plainPage(submission.student, html.join("\n"), language);
}

function cellHtml(
  cell: Cell,
  index: number,
  used: Set<string>,
  texts: Texts | undefined,
  asWritten: boolean,
): string {
  const source = textOf(cell.source);
  if (source.length > 200_000)
    return `<p class="quiet">${sayIn(texts, `Cell ${index + 1} has ${source.length} characters: left out.`)}</p>`;
  if (asWritten) return `<pre id="cell-${index + 1}"><code>${escapeHtml(source)}</code></pre>`;
  if (cell.cell_type === "markdown") {
    return renderMarkdown(source, used, (target, kind) =>
      kind === "link" && /^https?:/.test(target) ? target : "#",
    ).html;
  }
  const code = `<pre id="cell-${index + 1}"><code>${cell.cell_type === "code" ? highlight(source) : escapeHtml(source)}</code></pre>`;
  const plain = (cell.outputs ?? []).map(plainOutput).filter((one) => one !== undefined);
  const outputs = outputsIn(plain, texts);
  const parts = { plots: [], usedIds: used, hasMath: false, language: "en" as const };
  return code + (outputs.length > 0 ? `<div class="outputs">${renderOutputs(outputs, parts)}</div>` : "");
}

const shortest = 20_000;
const cut = (text: string) => (text.length > shortest ? `${text.slice(0, shortest)}…` : text);

/** An output without what could be more than text or a picture. */
function plainOutput(output: Output): Output | undefined {
  if (output.output_type === "stream") return { ...output, text: cut(textOf(output.text)) };
  if (output.output_type === "error") return { ...output, traceback: output.traceback.slice(0, 60).map(cut) };
  const data: MimeBundle = {};
  for (const type of ["image/png", "image/jpeg"]) {
    const image = textOf(output.data[type]);
    if (image && image.length < 4_000_000 && /^[A-Za-z0-9+/=\s]+$/.test(image)) data[type] = image;
  }
  const text = textOf(output.data["text/plain"]);
  if (text) data["text/plain"] = cut(text);
  return Object.keys(data).length > 0 ? { output_type: "display_data", data, metadata: {} } : undefined;
}
