// The report of `slimlab compress`: what was tried, what was chosen and why, where the error arises and where the bytes are.
import { type Report, type ReportPart, renderReport } from "../../book/report.ts";
import { isSplit } from "../../datasets/index.ts";
import { consumersOf, type Graph, type GraphNode } from "../../graph/index.ts";
import type { AutoQuantizeRow, Compression } from "../../nn/index.ts";
import type { Language } from "../../notebook/notebook.ts";
import { bars, lines, scatter } from "../../plots/index.ts";
import { elements } from "../../util/shape.ts";
import type { RunTime } from "./latency.ts";
import type { WrittenFile } from "./targets.ts";
import { size, wordsOf } from "./words.ts";
import type { Attempt, Work } from "./work.ts";

/** All that the report is made of. */
export interface ReportInput {
  name: string;
  /** Where the images come from, in the reader's own words. */
  source: string;
  work: Work;
  /** The kernels of the compressed network: their shapes by layer, and what compression knows of them. */
  shapes: Record<string, readonly number[]>;
  /** The compressed network. */
  graph: Graph;
  compression: Compression;
  files: readonly (WrittenFile & { checked?: { engine: string; difference: number } })[];
  times: readonly RunTime[];
  notes: readonly string[];
  /** The command line that makes it again. */
  command: string;
}

/** The report as an HTML document. */
export function reportOf(input: ReportInput, language: Language): Promise<string> {
  return renderReport(contentOf(input, language));
}

function contentOf(input: ReportInput, language: Language): Report {
  const { work, name } = input;
  const t = wordsFor(work, language);
  const sections = [
    { heading: t.recommendation, parts: recommendation(input, language) },
    { heading: t.front, parts: frontParts(work, language) },
    { heading: t.layers, parts: [{ markdown: t.layersText }, layerTable(input, language)] },
    { heading: t.error, parts: errorParts(work, language) },
    { heading: t.parts, parts: [{ figure: sizesFigure(work, language) }] },
    { heading: t.files, parts: [filesTable(input, language)] },
    ...(input.times.length > 0
      ? [{ heading: t.latency, parts: [{ markdown: t.latencyText }, timesTable(input, language)] }]
      : []),
    {
      heading: t.repeat,
      parts: [
        { code: input.command, language: "bash" },
        { markdown: t.repeatText },
        { code: JSON.stringify(work.chosen.recipe, undefined, 2), language: "json" },
        { markdown: t.reproduce(`\`${input.source}\``) },
      ],
    },
  ];
  return { language, title: t.title(name), summary: summaryOf(input, language), sections };
}

const wordsFor = ({ parts }: Work, language: Language) => wordsOf(language, isSplit(parts.decide));

const code = (text: string) => `\`${text}\``;

function summaryOf(input: ReportInput, language: Language): string {
  const { work } = input;
  const t = wordsFor(work, language);
  const { chosen, original, labelled, judged, comparison, goal, met } = work;
  const text = t.summary({
    name: "",
    label: code(chosen.label),
    from: original.bytes,
    to: chosen.bytes,
    labelled,
    measure: original.accuracy.measure,
    before: judged?.before.accuracy ?? original.accuracy.accuracy,
    after: judged?.after.accuracy ?? chosen.accuracy,
    agreement: judged?.agreement ?? comparison.agreement,
    divergence: judged?.divergence ?? comparison.divergence,
    images: judged?.after.count ?? comparison.count,
    fair: judged !== undefined,
  });
  const told = `${text}\n\n${atAGlance(input, language)}`;
  if (met || goal.kind === "recipe") return told;
  const missed =
    goal.kind === "budget"
      ? t.notMet.budget(goal.bytes, chosen.bytes)
      : t.notMet.drop(goal.share, original.accuracy.accuracy - chosen.accuracy);
  return `${missed}\n\n${told}`;
}

/** Before and after in a few lines, as a table in Markdown. */
function atAGlance({ work, times }: ReportInput, language: Language): string {
  const t = wordsFor(work, language);
  const { original, chosen, judged, labelled } = work;
  const time = (name: string) => {
    const found = times.find((one) => one.name === name);
    return found ? `${found.median.toFixed(found.median < 10 ? 2 : 1)} ms` : "";
  };
  const own = times.find(({ name }) => name === "slimlab/runtime");
  const rows = [
    [t.bytes, size(original.bytes), size(chosen.bytes)],
    [
      t.accuracy(labelled, original.accuracy.measure),
      percent(judged?.before.accuracy ?? original.accuracy.accuracy),
      percent(judged?.after.accuracy ?? chosen.accuracy),
    ],
    [t.memory, size(original.bytes), own?.bytes === undefined ? "" : size(own.bytes)],
    [`${t.latency}, TensorFlow.js`, time("TensorFlow.js, original"), time("TensorFlow.js, compressed")],
    ...(own ? [[`${t.latency}, slimlab/runtime`, "", time(own.name)]] : []),
  ].filter(([, before, after]) => before || after);
  return [["", t.before, t.after], ["---", "---:", "---:"], ...rows]
    .map((row) => `| ${row.join(" | ")} |`)
    .join("\n");
}

function recommendation({ work, notes }: ReportInput, language: Language): ReportPart[] {
  const t = wordsFor(work, language);
  const { chosen, front, original, folded, goal, attempts, judged } = work;
  const larger = front.filter(
    ({ bytes, divergence }) => bytes > chosen.bytes && divergence < chosen.divergence,
  );
  const next = larger.sort((a, b) => a.bytes - b.bytes)[0];
  const { accuracy, count } = original.accuracy;
  const list = [t.take(code(chosen.label), chosen.bytes)];
  if (next) list.push(t.next(code(next.label), next.bytes - chosen.bytes, next.divergence));
  if (goal.kind === "budget") list.push(t.tryFloor);
  if (count < 1000)
    list.push(
      t.fewImages(count, Math.max(1 / count, 2 * Math.sqrt(Math.max(0, accuracy * (1 - accuracy)) / count))),
    );
  if (
    goal.kind !== "recipe" &&
    !attempts.some(({ recipe }) => recipe.some(({ technique }) => technique === "distill"))
  )
    list.push(t.noTraining);
  const lost = judged && judged.before.accuracy - judged.after.accuracy;
  if (goal.kind === "drop" && lost !== undefined && lost > goal.share)
    list.push(t.moreLost(lost, goal.share));
  if (folded.length > 0) list.push(t.folded(folded.length));
  return [{ markdown: [...list, ...notes].map((line) => `- ${line}`).join("\n") }];
}

function frontParts(work: Work, language: Language): ReportPart[] {
  const { attempts, front, chosen, labelled, target } = work;
  const t = wordsFor(work, language);
  const whole = attempts.filter(({ error }) => error === undefined);
  const point = ({ bytes, divergence }: Attempt) => ({ x: bytes, y: Math.max(divergence, 1e-7) });
  const isChosen = (one: Attempt) => one.label === chosen.label;
  const series = {
    [t.tried]: whole.filter((one) => !isChosen(one)).map(point),
    [t.chosen]: whole.filter(isChosen).slice(0, 1).map(point),
  };
  const figure = scatter(
    Object.fromEntries(Object.entries(series).filter(([, points]) => points.length > 0)),
    {
      title: t.frontFigure,
      x: { label: `.${target}, ${t.bytes}`, log: true, format: "si" },
      y: { label: t.divergence, unit: t.nats, log: true },
      front: { x: "min", y: "min" },
      labels: false,
    },
  );
  const rows = [...attempts]
    .sort((a, b) => (Number.isNaN(a.bytes) ? 1 : Number.isNaN(b.bytes) ? -1 : a.bytes - b.bytes))
    .map((one) => {
      const mark = isChosen(one) ? " ★" : front.some(({ label }) => label === one.label) ? " •" : "";
      if (one.error !== undefined)
        return [`${one.label}: ${one.error}`, "", "", ...(labelled ? [""] : []), "", ""];
      return [
        one.label + mark,
        (one.settled ? "" : "≤ ") + size(one.bytes),
        percent(one.accuracy),
        ...(labelled ? [percent(one.agreement)] : []),
        one.divergence.toPrecision(3),
        one.seconds.toFixed(1),
      ];
    });
  const head = [
    t.recipe,
    t.bytes,
    t.accuracy(labelled, work.original.accuracy.measure),
    ...(labelled ? [t.agreement] : []),
    t.divergence,
    t.seconds,
  ];
  const failed = attempts.length - whole.length;
  return [
    {
      markdown: t.frontText(
        attempts.length,
        failed,
        whole.some(({ settled }) => !settled),
      ),
    },
    { figure },
    { head, rows },
  ];
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
const number = (value: number) => value.toLocaleString("en");

/** What the .slim file's tensors take, by layer: a kernel's name is its layer's and its role. */
function bytesByLayer({ slimParts }: Work): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { tensor, bytes } of slimParts) {
    const layer = tensor.slice(0, Math.max(0, tensor.lastIndexOf("/"))) || tensor;
    sums.set(layer, (sums.get(layer) ?? 0) + bytes);
  }
  return sums;
}

/**
 * The layers of which outputs were compared, by the layer with weights whose outputs they hand on: what follows it alone,
 * such as its ReLU.
 */
function outlets(graph: Graph, compared: ReadonlySet<string>): Map<string, string> {
  const consumers = consumersOf(graph);
  const found = new Map<string, string>();
  for (const node of graph.nodes) {
    let last: GraphNode | undefined = node;
    while (last && !compared.has(last.name)) {
      const next: readonly GraphNode[] = consumers.get(last.outputs[0]) ?? [];
      last = next.length === 1 && next[0].inputs.length === 1 ? next[0] : undefined;
    }
    if (last) found.set(node.name, last.name);
  }
  return found;
}

function layerTable({ work, shapes, graph, compression }: ReportInput, language: Language): ReportPart {
  const t = wordsFor(work, language);
  const bytes = bytesByLayer(work);
  const sqnr = new Map(work.comparison.layers.map((one) => [one.layer, one.sqnr]));
  const outlet = outlets(graph, new Set(sqnr.keys()));
  const details = work.result.details.flatMap(
    (one) => (one as { rows?: AutoQuantizeRow[] } | undefined)?.rows ?? [],
  );
  const reasons = new Map(
    details.filter(({ why }) => typeof why === "string").map(({ layer, why }) => [layer, why]),
  );
  const limit = work.chosen.recipe
    .map((step) => ("keepFloatBelow" in step ? step.keepFloatBelow : undefined))
    .find((below) => below !== undefined);
  const rows = Object.entries(shapes).map(([layer, shape]) => {
    const { masks, quantized, clustered } = compression;
    const mask = masks[layer];
    const kept = mask ? mask.reduce((n, m) => n + m, 0) / mask.length : 1;
    const form = quantized[layer]
      ? t.formBits(quantized[layer].bits)
      : clustered[layer]
        ? t.formClusters(clustered[layer].codebook.length)
        : t.formFloat;
    const weights = elements(shape);
    const plain =
      form !== t.formFloat ? t.whyAlike : limit && weights < limit ? t.whySmall(limit) : t.whyFloat;
    const why = [
      ...(mask ? [t.whyPruned(kept)] : []),
      reasons.has(layer) ? t.whyRow(reasons.get(layer)!) : plain,
    ];
    const decibels = sqnr.get(outlet.get(layer) ?? layer);
    return [
      layer,
      number(weights),
      percent(kept),
      form,
      number(bytes.get(layer) ?? 0),
      decibels === undefined || !Number.isFinite(decibels) ? "" : decibels.toFixed(1),
      why.join("; "),
    ];
  });
  return { head: [t.layer, t.weights, t.kept, t.form, t.bytes, t.sqnr, t.why], rows };
}

function errorParts(work: Work, language: Language): ReportPart[] {
  const { comparison } = work;
  const t = wordsFor(work, language);
  const layers = comparison.layers.filter(({ sqnr }) => Number.isFinite(sqnr));
  if (layers.length === 0) return [];
  const worst = layers.reduce((a, b) => (b.sqnr < a.sqnr ? b : a));
  const title = t.errorFigure(worst.layer, worst.sqnr);
  const figure =
    layers.length <= 20
      ? bars(Object.fromEntries(layers.map(({ layer, sqnr }) => [layer, sqnr])), { title, y: t.sqnr })
      : lines(
          layers.map(({ sqnr }) => sqnr),
          {
            title,
            x: t.layer,
            y: t.sqnr,
            alt: `${title}. ${layers.map(({ layer, sqnr }) => `${layer} ${sqnr.toFixed(0)}`).join(", ")}`,
          },
        );
  return [{ markdown: t.errorText }, { figure }];
}

function sizesFigure(work: Work, language: Language) {
  const t = wordsFor(work, language);
  const all = [...bytesByLayer(work)]
    .map(([layer, bytes]) => [layer === "" ? t.header : layer, bytes] as const)
    .sort(([, a], [, b]) => b - a);
  const shown = all.slice(0, all.length > 13 ? 12 : 13);
  const rest = all.slice(shown.length);
  const restBytes = rest.reduce((sum, [, bytes]) => sum + bytes, 0);
  const amounts = Object.fromEntries([
    ...shown,
    ...(rest.length > 0 ? [[t.others(rest.length), restBytes] as const] : []),
  ]);
  const total = all.reduce((sum, [, bytes]) => sum + bytes, 0);
  return bars(amounts, {
    title: t.partsFigure(all[0][0], all[0][1] / total),
    horizontal: true,
    x: { label: t.bytes, format: "si" },
    height: 120 + 26 * Object.keys(amounts).length,
  });
}

function filesTable({ work, files }: ReportInput, language: Language): ReportPart {
  const t = wordsFor(work, language);
  return {
    head: [t.file, t.bytes, t.engine, t.difference, t.notes],
    rows: files.map(({ path, bytes, notes, checked }) => [
      path,
      number(bytes),
      checked?.engine ?? t.notRun,
      checked ? checked.difference.toExponential(1) : "",
      notes.join("; "),
    ]),
  };
}

function timesTable({ work, times }: ReportInput, language: Language): ReportPart {
  const t = wordsFor(work, language);
  return {
    head: [t.runBy, t.median, t.p90, t.memory],
    rows: times.map(({ name, median, p90, bytes }) => [
      name,
      median.toFixed(2),
      p90.toFixed(2),
      bytes === undefined ? "" : size(bytes),
    ]),
  };
}
