// The language in which a student is told what his checks say: that of his notebook.
import { type Notebook, type Output, textOf } from "../notebook/notebook.ts";
import { type Language, languages, type Texts, textsOf, translateOutputs } from "../texts/index.ts";
import type { CheckCase } from "./check.ts";
import type { ExerciseGrade, Grade } from "./grades.ts";

/** What a notebook says of its language; where it says nothing, its prose tells. */
export function languageOf({ metadata, cells }: Notebook): Language {
  const said = (metadata.slimlab as { language?: unknown } | undefined)?.language;
  const own = languages.find((language) => language === said);
  if (own) return own;
  const prose = cells.filter(({ cell_type }) => cell_type === "markdown").map(({ source }) => textOf(source));
  const count = (letters: RegExp) => prose.reduce((sum, text) => sum + (text.match(letters)?.length ?? 0), 0);
  // English titles carry their Chinese names, and Chinese prose is full of names and code: a Han letter is a word.
  return count(/\p{Script=Han}/gu) > count(/[A-Za-z]+/g) ? "zh" : "en";
}

const known = new Map<string, Texts | undefined>();

/**
 * The tables of a language; undefined for English.
 *
 * @param folder that of the teacher's notebook, where tables of its own may lie
 */
export function textsFor(language: Language, folder = "."): Texts | undefined {
  const key = `${language} ${folder}`;
  if (!known.has(key)) known.set(key, textsOf({ language, folder }));
  return known.get(key);
}

/** Longer lines are no words of a check's, and finding that out would take long: strangers write them. */
const longest = 400;

/** A text in a student's language, line by line. */
export function sayIn(texts: Texts | undefined, text: string): string {
  if (!texts) return text;
  return text
    .split("\n")
    .map((line) => (line.length > longest ? line : texts.say(line)))
    .join("\n");
}

/** Outputs that are plain already, translated where they are short enough to be words. */
export function outputsIn(outputs: Output[], texts: Texts | undefined): Output[] {
  if (!texts) return outputs;
  return outputs.map((output) => {
    const text =
      output.output_type === "stream"
        ? output.text
        : output.output_type === "error"
          ? ""
          : output.data["text/plain"];
    return textOf(text as string)
      .split("\n")
      .some((line) => line.length > longest)
      ? output
      : translateOutputs([output], texts)[0];
  });
}

/** A case with its words translated. */
export function caseIn<Case extends CheckCase>(one: Case, texts: Texts): Case {
  return { ...one, name: sayIn(texts, one.name), message: sayIn(texts, one.message) };
}

/** Reasons add up: each is a text of its own. */
const reasonIn = (reason: string, texts: Texts) =>
  reason
    .split("; ")
    .map((part) => sayIn(texts, part))
    .join("；");

function exerciseIn(one: ExerciseGrade, texts: Texts): ExerciseGrade {
  return {
    ...one,
    cases: one.cases.map((single) => caseIn(single, texts)),
    ...(one.reason && { reason: reasonIn(one.reason, texts) }),
    ...(one.read && { read: sayIn(texts, one.read) }),
  };
}

/** A grade as its student reads it: points and names stay, words are his notebook's. */
export function gradeIn<Kind extends Omit<Grade, "notebook">>(grade: Kind, texts: Texts | undefined): Kind {
  if (!texts) return grade;
  return {
    ...grade,
    exercises: grade.exercises.map((one) => exerciseIn(one, texts)),
    failures: grade.failures.map((one) => ({ ...one, message: sayIn(texts, one.message) })),
    ...(grade.reason && { reason: reasonIn(grade.reason, texts) }),
  };
}
