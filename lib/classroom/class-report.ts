// What a teacher learns from a class: how points are spread, which cases are hard, which exercises tell strong students from
// weak ones, which wrong answers are common, whose code is alike.
import { basename } from "node:path";
import { bars } from "../plots/bars.ts";
import { axisOf } from "../plots/ranges.ts";
import { escapeHtml } from "../util/html.ts";
import { mean, quantileOf } from "../util/statistics.ts";
import type { Assignment } from "./assignment.ts";
import { plainPage } from "./feedback.ts";
import { likenesses } from "./likeness.ts";
import { exerciseNames, type Result } from "./results.ts";
import { harmless } from "./submissions.ts";

/** The correlation of an exercise's points with those of all others: how well it separates. */
export function separation(results: Result[], name: string): number {
  const pairs = results.map(({ grade }) => {
    const own = grade.exercises.find((one) => one.name === name)?.points ?? 0;
    return [own, grade.points - own];
  });
  const mean = (of: number) => pairs.reduce((sum, pair) => sum + pair[of], 0) / pairs.length;
  const [x, y] = [mean(0), mean(1)];
  let [xy, xx, yy] = [0, 0, 0];
  for (const [a, b] of pairs) {
    xy += (a - x) * (b - y);
    xx += (a - x) ** 2;
    yy += (b - y) ** 2;
  }
  return xx > 0 && yy > 0 ? xy / Math.sqrt(xx * yy) : Number.NaN;
}

/** The most common messages of a case, with how many students got each. */
export function commonMessages(
  results: Result[],
  name: string,
  most = 3,
): [message: string, count: number][] {
  const counts = new Map<string, number>();
  for (const { grade } of results) {
    if (grade.reason) continue; // What was not graded is listed by itself.
    const one = grade.exercises.find((exercise) => exercise.name === name);
    const failed = one?.cases.find(({ passed }) => !passed);
    const message = failed ? [failed.name, failed.message].filter(Boolean).join(": ") : one?.reason;
    if (one && !one.passed && message) counts.set(message, (counts.get(message) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]).slice(0, most);
}

const percent = (share: number) => `${Math.round(100 * share)} %`;
const table = (head: string[], rows: string[][]) =>
  `<table><tr>${head.map((one) => `<th>${escapeHtml(one)}</th>`).join("")}</tr>${rows
    .map((row) => `<tr>${row.map((one) => `<td>${escapeHtml(harmless(one))}</td>`).join("")}</tr>`)
    .join("")}</table>`;

/** The report as a page. */
export function classReport(results: Result[], assignment: Assignment): string {
  const html = [`<h1>${escapeHtml(basename(assignment.path))}</h1>`, `<p>${inShort(results)}</p>`];
  if (results.length > 0) html.push(distribution(results), exercises(results), cases(results));
  for (const name of results.length > 0 ? exerciseNames(results) : []) {
    const messages = commonMessages(results, name);
    if (messages.length === 0) continue;
    html.push(
      `<h3>${escapeHtml(harmless(name))}: common wrong answers</h3>`,
      table(
        ["students", "message"],
        messages.map(([message, count]) => [String(count), message.slice(0, 300)]),
      ),
    );
  }
  const alike = likenesses(results.map(({ id, prints = [] }) => ({ id, prints })));
  html.push(
    "<h2>Suspicious likeness</h2>",
    alike.length === 0
      ? "<p>None.</p>"
      : table(
          ["students", "", "pieces in common", "share"],
          alike.slice(0, 50).map(({ a, b, pieces, share }) => [a, b, String(pieces), percent(share)]),
        ),
    "<p>Pieces of code that few others have, names and spaces apart. A reason to read both, not a verdict.</p>",
  );
  const reasons = results.filter(({ grade }) => grade.reason);
  if (reasons.length > 0) {
    html.push(
      "<h2>Not graded</h2>",
      table(
        ["student", "reason"],
        reasons.map(({ student, grade }) => [student, grade.reason!]),
      ),
    );
  }
  return plainPage("Class report", html.join("\n"));
}

function inShort(results: Result[]): string {
  const all = `${results.length} submission${results.length === 1 ? "" : "s"}`;
  if (results.length === 0) return `${all}.`;
  const points = results.map((one) => one.points);
  const [average, middle] = [mean(points), quantileOf(points, 0.5)].map((one) => Math.round(100 * one) / 100);
  return `${all}: ${average} of ${results[0].of} points on average, a median of ${middle}.`;
}

function distribution(results: Result[]): string {
  const counts: Record<string, number> = {};
  for (let tenth = 0; tenth <= 10; tenth++) counts[`${tenth * 10} %`] = 0;
  for (const { points, of } of results) counts[`${Math.round((10 * points) / Math.max(of, 1e-9)) * 10} %`]++;
  const figure = bars(counts, {
    title: "Students by share of the points, to the nearest tenth",
    x: "points",
    y: "students",
  });
  // There are no half students.
  const most = Math.max(...Object.values(counts));
  const step = Math.max(1, Math.ceil(most / 6));
  axisOf(figure.layout, "y").tickvals = Array.from(
    { length: Math.floor(most / step) + 1 },
    (_, i) => i * step,
  );
  return `<h2>Distribution</h2>${figure.toSvg()}`;
}

function exercises(results: Result[]): string {
  const rows = exerciseNames(results).map((name) => {
    const all = results.map(({ grade }) => grade.exercises.find((one) => one.name === name));
    const solved = all.filter((one) => one?.passed).length / results.length;
    const share =
      all.reduce((sum, one) => sum + (one ? one.points / Math.max(one.of, 1e-9) : 0), 0) / results.length;
    const separates = separation(results, name);
    return [name, percent(solved), percent(share), Number.isNaN(separates) ? "–" : separates.toFixed(2)];
  });
  return `<h2>Exercises</h2>${table(["exercise", "solved", "points", "separates"], rows)}<p>“Separates” is the correlation with the points of the other exercises: an exercise near 0, or below, tells strong students from weak ones no better than chance.</p>`;
}

function cases(results: Result[]): string {
  const counts = new Map<string, [failed: number, all: number]>();
  for (const { grade } of results) {
    for (const one of grade.exercises) {
      for (const { name, passed } of one.cases) {
        const key = [one.name, name].filter(Boolean).join(": ");
        const [failed, all] = counts.get(key) ?? [0, 0];
        counts.set(key, [failed + Number(!passed), all + 1]);
      }
    }
  }
  const hardest = [...counts]
    .filter(([, [failed]]) => failed > 0)
    .sort((a, b) => b[1][0] / b[1][1] - a[1][0] / a[1][1])
    .slice(0, 15);
  if (hardest.length === 0) return "<h2>Hardest cases</h2><p>None fails.</p>";
  return `<h2>Hardest cases</h2>${table(
    ["case", "fail"],
    hardest.map(([name, [failed, all]]) => [name, `${percent(failed / all)} (${failed} of ${all})`]),
  )}<p>Of the students whose work came as far as the case.</p>`;
}
