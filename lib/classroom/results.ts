// What a teacher takes away: a student's result, and results as tables that nobody's name can turn into a program.
import type { Texts } from "../texts/index.ts";
import type { Grade } from "./grades.ts";
import { sayIn } from "./speech.ts";

/** A student's result. */
export interface Result {
  id: string;
  student: string;
  /** Where the submission lay. */
  path: string;
  grade: Omit<Grade, "notebook">;
  /** Marks that a person gave, by exercise. */
  marks: Mark[];
  time?: string;
  /** Days after the due date, and what of the points is left. */
  late?: { days: number; factor: number };
  /** Points after lateness, marks included, and of how many. */
  points: number;
  of: number;
  notes: string[];
  /** A mark of the student's code, for likeness: hashes of its pieces. */
  prints?: number[];
}

/** A mark for an open exercise. */
export interface Mark {
  exercise: string;
  points: number;
  of: number;
  comment: string;
  /** Nobody has marked it yet. */
  open?: boolean;
}

/** A CSV cell: quoted, and no formula for whoever opens it in a spreadsheet. */
export function csvCell(value: string | number | undefined): string {
  if (typeof value === "number") return String(value);
  // A quote before it makes a spreadsheet show the text as it is.
  const text = (value ?? "").replace(/^(?=\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])/, "'");
  return /[",\n\r;]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv(rows: (string | number | undefined)[][]): string {
  // The mark tells Excel that this is UTF-8.
  return `\ufeff${rows.map((row) => row.map(csvCell).join(",")).join("\r\n")}\r\n`;
}

/** Reads CSV: quotes, line ends of any kind. */
export function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n|\r|$)/y;
  const source = text.replace(/^\ufeff/, "");
  while (cell.lastIndex < source.length) {
    const match = cell.exec(source);
    if (!match) throw new Error("it is not CSV: a quote stands where none may");
    row.push(match[1] !== undefined ? match[1].replaceAll('""', '"') : match[2]);
    if (match[3] !== ",") {
      rows.push(row);
      row = [];
    }
  }
  if (row.length > 0) rows.push(row);
  return rows;
}

/** One line a student: identity, points of each exercise, sum, reason. */
export function gradesCsv(results: Result[]): string {
  const names = exerciseNames(results);
  const open = [...new Set(results.flatMap(({ marks }) => marks.map(({ exercise }) => exercise)))];
  const head = ["student", ...names, ...open, "points", "of", "late (days)", "reason", "notes", "submission"];
  const rows = results.map(({ student, grade, marks, points, of, late, notes, path }) => [
    student,
    ...names.map((name) => grade.exercises.find((one) => one.name === name)?.points ?? 0),
    ...open.map((name) => marks.find((one) => one.exercise === name)?.points ?? 0),
    points,
    of,
    late?.days ?? 0,
    grade.reason ?? grade.exercises.find(({ reason }) => reason)?.reason,
    notes.join("; "),
    path,
  ]);
  return csv([head, ...rows]);
}

/** The exercises of a class, in their order. */
export function exerciseNames(results: Result[]): string[] {
  return [...new Set(results.flatMap(({ grade }) => grade.exercises.map(({ name }) => name)))];
}

/** The table in which a teacher marks open exercises; what is in it already stays. */
export function marksCsv(
  results: Result[],
  open: { name: string; points: number }[],
  before: Map<string, Mark>,
): string {
  const rows = results.flatMap(({ id }) =>
    open.map(({ name, points }) => {
      const mark = before.get(`${id}\n${name}`);
      return [id, name, mark?.points ?? "", mark?.of ?? points, mark?.comment ?? ""];
    }),
  );
  return csv([["student", "exercise", "points", "of", "comment"], ...rows]);
}

/** Marks by student and exercise, of a table that a teacher has filled in. */
export function readMarks(text: string): Map<string, Mark> {
  const marks = new Map<string, Mark>();
  for (const [id, exercise, points, of, comment = ""] of parseCsv(text).slice(1)) {
    if (id === undefined || exercise === undefined || (points ?? "").trim() === "") continue;
    const number = Number(points.replace(",", "."));
    if (!Number.isFinite(number)) {
      throw new Error(
        `marks: the points of ${id} in ${exercise} must be a number, got ${JSON.stringify(points)}`,
      );
    }
    marks.set(`${id.replace(/^'/, "")}\n${exercise.replace(/^'/, "")}`, {
      exercise,
      points: number,
      of: Number(of) || 0,
      comment,
    });
  }
  return marks;
}

/** A result as Gradescope reads it (results.json of an autograder). */
export function gradescopeOf({ grade, marks, points, of, late }: Result, texts?: Texts): object {
  return {
    score: points,
    ...(late && { output: `${late.days} day(s) late: ${Math.round(100 * late.factor)} % of the points` }),
    ...(grade.reason && { output: grade.reason }),
    execution_time: Math.round(grade.seconds),
    visibility: "visible",
    stdout_visibility: "hidden",
    extra_data: { of, isolation: grade.isolation },
    tests: [
      ...grade.exercises.map((one) => ({
        name: one.name,
        score: one.points,
        max_score: one.of,
        status: one.passed ? "passed" : "failed",
        output: [
          one.reason,
          ...one.cases
            .filter(({ hidden }) => !hidden)
            .map(
              ({ name, passed, message }) =>
                `${passed ? "✓" : "✗"} ${[name, message].filter(Boolean).join(": ")}`,
            ),
          one.read && sayIn(texts, `Read again: ${one.read}`),
        ]
          .filter(Boolean)
          .join("\n"),
      })),
      ...marks.map((mark) => ({
        name: mark.exercise,
        score: mark.points,
        max_score: mark.of,
        output: mark.comment,
      })),
    ],
  };
}
