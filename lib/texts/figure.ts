// A figure in the reader's language: every text of its Plotly JSON, and its picture drawn anew, for texts have other
// lengths.
import type { Datum, PlotlyLayout, PlotlyTrace } from "../plots/plotly.ts";
import { plainTitle } from "../plots/plotly.ts";
import { wrapTitle } from "../plots/text.ts";
import { literally } from "../util/pattern.ts";
import { joined, type Texts } from "./texts.ts";

/** What a figure's MIME type holds. */
export interface FigureJson {
  data: PlotlyTrace[];
  layout: PlotlyLayout;
  [key: string]: unknown;
}

/** A copy of a figure with its texts translated. */
export function translateFigure(figure: FigureJson, texts: Texts): FigureJson {
  const { data, layout, ...rest } = structuredClone(figure);
  const said = new Map<string, string>();
  const say = (text: string) => texts.say(text);
  /** What the figure's description speaks of. */
  const sayName = (text: string) => {
    const own = texts.say(text);
    if (/\p{L}/u.test(text)) said.set(text, own);
    return own;
  };
  const title = sayTitle(layout, sayName);
  for (const trace of data) sayTrace(trace, sayName, texts);
  for (const [key, value] of Object.entries(layout)) {
    const axisTitle = /^[xy]axis\d*$/.test(key) && textBox((value as PlotlyLayout).title);
    if (axisTitle) axisTitle.text = sayLabel(axisTitle.text, texts);
  }
  for (const box of [...textBoxes(layout.annotations), ...shapeLabels(layout.shapes)])
    box.text = say(box.text);
  for (const slider of listOf(layout.sliders)) {
    const { currentvalue, steps } = slider as { currentvalue?: { prefix?: string }; steps?: PlotlyLayout[] };
    const label = /^(.*): $/.exec(currentvalue?.prefix ?? "")?.[1];
    if (label !== undefined) {
      currentvalue!.prefix = `${sayName(label)}：`;
    }
    for (const step of steps ?? []) {
      if (typeof step.label === "string") step.label = sayName(step.label);
      const change = listOf(step.args)[1];
      if (typeof change?.["title.text"] === "string")
        change["title.text"] = wrapTitle(say(plainTitle({ title: change["title.text"] }))).join("<br>");
      for (const box of shapeLabels(change?.shapes)) box.text = say(box.text);
    }
  }
  const meta = layout.meta as { alt?: unknown } | undefined;
  if (typeof meta?.alt === "string") meta.alt = sayAlt(meta.alt, title, said, texts);
  return { data, layout, ...rest };
}

type Say = (text: string) => string;

/** The title in lines again, with room for as many as there are now; returns it as it was. */
function sayTitle(layout: PlotlyLayout, say: Say): string {
  const title = plainTitle(layout);
  const box = textBox(layout.title);
  if (!title || !box) return title;
  const before = box.text.split(/<br\s*\/?>/).length;
  const lines = wrapTitle(say(title));
  box.text = lines.join("<br>");
  const margin = layout.margin as { t?: number } | undefined;
  if (typeof margin?.t === "number") margin.t += 20 * (lines.length - before);
  return title;
}

function sayTrace(trace: PlotlyTrace, sayName: Say, texts: Texts): void {
  if (typeof trace.name === "string" && trace.name) trace.name = sayName(trace.name);
  const sayAll = (list: Datum[]) =>
    list.map((item) => (typeof item === "string" && item ? sayName(item) : item));
  if (Array.isArray(trace.x)) trace.x = sayAll(trace.x);
  if (Array.isArray(trace.y)) trace.y = sayAll(trace.y);
  if (Array.isArray(trace.text)) trace.text = sayAll(trace.text);
  if (typeof trace.hovertemplate === "string") trace.hovertemplate = texts.quietly().say(trace.hovertemplate);
  const colorbar = textBox((trace.colorbar as PlotlyLayout | undefined)?.title);
  if (colorbar) colorbar.text = sayLabel(colorbar.text, texts);
}

/** A label with its unit in brackets: each is a text of its own. */
function sayLabel(text: string, texts: Texts): string {
  const [, label, unit] = texts.has(text) ? [] : (/^(.+) \(([^()]+)\)$/.exec(text) ?? []);
  return unit ? `${texts.say(label)}（${texts.say(unit)}）` : texts.say(text);
}

/** What the plots say of a figure to those who do not see it: their own sentences about the texts that stand in it. */
function sayAlt(alt: string, title: string, said: Map<string, string>, texts: Texts): string {
  if (alt !== title && texts.has(alt)) return texts.say(alt);
  // The figure's own texts first, longest first, each as a mark that nothing else translates.
  const kept: string[] = [];
  let marked = alt;
  for (const text of [...said.keys()].sort((a, b) => b.length - a.length)) {
    marked = marked.replace(
      new RegExp(`(?<![\\p{L}\\p{N}])${literally(text)}(?![\\p{L}\\p{N}])`, "gu"),
      () => `\uE000${kept.push(said.get(text)!) - 1}\uE001`,
    );
  }
  return marked
    .split(". ")
    .map((sentence) =>
      sentence
        .split("; ")
        .map((fact) => sayFact(fact, texts))
        .join("；"),
    )
    .join("。")
    .split(/\uE000(\d+)\uE001/)
    .reduce((all, piece, i) => joined(all, i % 2 === 0 ? piece : kept[Number(piece)]), "");
}

function sayFact(fact: string, texts: Texts): string {
  const [, name, rest] = /^(\uE000\d+\uE001): (.*)$/.exec(fact) ?? [];
  if (name) return `${name}：${sayFact(rest, texts)}`;
  return /\p{L}{2}/u.test(fact) ? texts.say(fact) : fact.replaceAll(", ", "，");
}

interface TextBox {
  text: string;
}

function textBox(value: unknown): TextBox | undefined {
  return typeof (value as TextBox | undefined)?.text === "string" && (value as TextBox).text
    ? (value as TextBox)
    : undefined;
}

function textBoxes(value: unknown): TextBox[] {
  return listOf(value)
    .map(textBox)
    .filter((box) => box !== undefined);
}

function shapeLabels(shapes: unknown): TextBox[] {
  return textBoxes(listOf(shapes).map((shape) => shape?.label));
}

function listOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value : [];
}
