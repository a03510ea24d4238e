// `slimlab grade`: a class's submissions, each in a sandbox; grades, feedback and reports into a folder.
import { dirname, resolve } from "node:path";
import { parseArgs } from "node:util";
import { readAssignment } from "../classroom/assignment.ts";
import { chooseIsolation } from "../classroom/choose-isolation.ts";
import { gradeClass } from "../classroom/class.ts";
import type { Result } from "../classroom/results.ts";
import { gradeIn, languageOf, textsFor } from "../classroom/speech.ts";
import { findSubmissions, harmless } from "../classroom/submissions.ts";
import { queueAddress } from "../queue/index.ts";
import type { Texts } from "../texts/index.ts";
import { checkNumber } from "../util/check.ts";
import { untilInterrupted } from "../util/interrupt.ts";
import { progress } from "../util/progress.ts";

const help = `Usage: slimlab grade [OPTION]... --original NOTEBOOK SUBMISSION...

Grades what a class has handed in: notebooks, folders, zip archives, downloads of nbgrader, Moodle and Canvas. Students'
cells run in a sandbox without a network; the checks of the original run outside of it, and no stored output is believed.
Ends with 0 if every exercise of every submission is solved, with 1 if not.

  --original NOTEBOOK  the notebook with the exercises (and hidden tests), as the teacher has it
  --out DIR            grades.csv, grades.json, feedback/ (a page a student), gradescope/, class.html, marks.csv for open
                       exercises. A second run grades what is new and keeps the rest
  --json FILE          the grades also there
  --jobs N             submissions at a time (default: the cores there are)
  --timeout S          seconds that a cell, or judging an exercise, may take (default: ten times the slowest of the original
                       with its solutions, at least 20; 600 where an exercise has no solution)
  --total-timeout S    seconds that a submission may take in all (default: ten times what the original with its solutions
                       took, at least 60; 1800 where an exercise has none)
  --memory MIB         memory of a student's processes (default: 4096)
  --due TIME           after it, submissions are late: 2026-11-30T23:59
  --late-penalty P     percent of the points that each day of lateness takes (default: 0)
  --all                run every cell, also those that no exercise needs
  --fresh              grade again what has been graded
  --queue ADDRESS      grade on other machines: redis://HOST:PORT, where workers wait (slimlab grade-worker ADDRESS)
  --isolation HOW      bubblewrap, podman or docker (default: the first of them that works here)
  --image IMAGE        what containers are made of: any Linux with glibc (default: debian:stable-slim)
  --unsafe             run students' code without a sandbox, where no isolation works: it can then do all that you can`;

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      help: { type: "boolean", short: "h" },
      original: { type: "string" },
      out: { type: "string" },
      json: { type: "string" },
      jobs: { type: "string" },
      timeout: { type: "string" },
      "total-timeout": { type: "string" },
      memory: { type: "string", default: "4096" },
      due: { type: "string" },
      "late-penalty": { type: "string", default: "0" },
      all: { type: "boolean" },
      fresh: { type: "boolean" },
      queue: { type: "string" },
      isolation: { type: "string" },
      image: { type: "string" },
      unsafe: { type: "boolean" },
    },
  });
  if (values.help || positionals.length === 0) {
    console.log(help);
    return values.help ? 0 : 2;
  }
  if (!values.original)
    throw new Error("--original is missing: the notebook with the exercises, as you have it");
  const due = values.due === undefined ? undefined : new Date(values.due);
  if (due && Number.isNaN(due.getTime())) {
    throw new Error(`--due must be a time such as 2026-11-30T23:59, got ${JSON.stringify(values.due)}`);
  }
  const number = (name: "timeout" | "total-timeout" | "memory" | "late-penalty") =>
    checkNumber(`--${name}`, Number(values[name]), 0);
  const { queue } = values;
  if (queue !== undefined) queueAddress(queue); // What is no address is said before anything is read.
  const isolation = queue === undefined ? chooseIsolation(values, (line) => console.error(line)) : "none";
  const assignment = await readAssignment(values.original);
  const submissions = await findSubmissions(positionals, { original: values.original });
  if (submissions.length === 0) throw new Error(`there are no submissions in ${positionals.join(", ")}`);
  const texts = textsFor(languageOf(assignment.notebook), dirname(resolve(values.original)));
  const results = await withProgress(texts, (signal, onResult) =>
    gradeClass(submissions, assignment, {
      ...(values.out !== undefined && { out: values.out }),
      ...(values.json !== undefined && { json: values.json }),
      ...(values.jobs !== undefined && { jobs: Number(values.jobs) }),
      ...(values.timeout !== undefined && { timeout: number("timeout") }),
      ...(values["total-timeout"] !== undefined && { totalTimeout: number("total-timeout") }),
      limits: { memory: number("memory") },
      latePenalty: number("late-penalty"),
      ...(due && { due }),
      isolation, // With a queue nothing is run here.
      ...(values.image !== undefined && { image: values.image }),
      ...(queue !== undefined && { queue }),
      onNotice: (notice) => console.error(`slimlab grade: ${notice}`),
      all: values.all,
      fresh: values.fresh,
      signal,
      onResult,
      onBaseline: ({ limits, trouble }) => {
        const { timeout = limits.cell, "total-timeout": total = limits.notebook } = values;
        console.error(`slimlab grade: a cell may take ${timeout} s, a submission ${total} s`);
        if (trouble) console.error(`slimlab grade: ${trouble}`);
      },
    }),
  );
  if (results.length < submissions.length) {
    console.error(
      `slimlab grade: interrupted after ${results.length} of ${submissions.length}; the same command goes on`,
    );
    return 130;
  }
  if (values.out) console.log(`${results.length} graded: ${values.out}/grades.csv, class.html, feedback/`);
  return results.every(({ grade }) => grade.exercises.every(({ passed }) => passed)) ? 0 : 1;
}

function withProgress(
  texts: Texts | undefined,
  work: (
    signal: AbortSignal,
    onResult: (result: Result, done: number, total: number) => void,
  ) => Promise<Result[]>,
): Promise<Result[]> {
  return untilInterrupted(async (signal) => {
    let bar: ReturnType<typeof progress> | undefined;
    try {
      return await work(signal, (result, done, total) => {
        if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
        console.log(describeResult(result, texts));
        bar ??= progress("grading", total);
        bar.update(done, result.student);
      });
    } finally {
      bar?.end();
    }
  });
}

/** A result for the terminal; nothing in it is more than text. */
export function describeResult({ student, points, of, late, grade: english }: Result, texts?: Texts): string {
  const grade = gradeIn(english, texts);
  const lines = [`${student}: ${points} of ${of}${late ? ` (${late.days} day(s) late)` : ""}`];
  if (grade.reason) return `${lines[0]}: ${harmless(grade.reason)}`;
  for (const { name, passed, cases, reason } of grade.exercises) {
    const failed = cases.find((one) => !one.passed);
    const why = reason ?? [failed?.name, failed?.message.split("\n")[0]].filter(Boolean).join(": ");
    lines.push(`  ${passed ? "✓" : "✗"} ${harmless(name)}${!passed && why ? `: ${harmless(why)}` : ""}`);
  }
  return lines.join("\n");
}
