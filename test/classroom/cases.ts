// Suites of cases of the small assignment: work and what it is worth.
import assert from "node:assert/strict";
import type { Grade, GradeOptions } from "../../lib/classroom/grades.ts";
import type { Cell, Notebook } from "../../lib/notebook/notebook.ts";
import { code } from "../chapters/notebooks.ts";
import { type Bench, handedOut, perfect, withBench } from "./setting.ts";

/** Right answers to both exercises, without their checks. */
export const a = "function double(x: number): number { return 2 * x; }";
export const b = "const answer: number[] = [1, 0.25];";
/** Nothing done; and the same with cells before and after it. */
export const untouched = (): Cell[] => structuredClone(handedOut.cells);
export const preceded = (...sources: string[]): Cell[] => [...cellsOf(sources), ...untouched()];
export const followed = (...sources: string[]): Cell[] => [...untouched(), ...cellsOf(sources)];
const cellsOf = (sources: string[]) => sources.map((source) => code(source));

/** Work of one kind or another, with what it is called. */
type Work = [what: string, work: () => Cell[] | Notebook];

/** What honest work is worth however odd it is; and cheats, of which none is worth anything. */
export interface Cases extends Pick<GradeOptions, "files"> {
  honest: readonly [
    ...Work,
    points: [a: number, b: number],
    /** What it is told, and how long one of its cells may take. */
    more?: { reason?: RegExp; timeout?: number },
  ][];
  cheats: readonly Work[];
  /** Seconds that all cells of a cheat may take. */
  totalTimeout?: number;
}

/** A test for each of some cases. */
export function itJudges({ honest, cheats, files, totalTimeout }: Cases, bench: () => Bench): void {
  for (const [what, work, points, { reason, timeout } = {}] of honest) {
    it(`honest: ${what}`, async () => {
      const grade = await bench().grade(work(), { files, ...(timeout && { timeout }) });
      const { exercises } = grade;
      const said = JSON.stringify(exercises);
      assert.deepEqual(
        exercises.map((one) => one.points),
        points,
        said,
      );
      assert.deepEqual([grade.points, grade.of], [points[0] + points[1], 2]);
      if (reason) assert.match(exercises.flatMap(reasonsOf).join("\n"), reason);
    });
  }
  for (const [what, work] of cheats) {
    it(`cheat: ${what}`, async () => {
      const { exercises } = await bench().grade(work(), { timeout: 4, totalTimeout });
      assert.deepEqual(
        exercises.map(({ name, points, of, passed }) => [name, points, of, passed]),
        [
          ["a", 0, 1, false],
          ["b", 0, 1, false],
        ],
        JSON.stringify(exercises),
      );
      for (const one of exercises)
        assert.ok(reasonsOf(one).length > 0, `it says why: ${JSON.stringify(one)}`);
    });
  }
}

/** Why an exercise has not all of its points. */
const reasonsOf = ({ reason, cases }: Grade["exercises"][number]) =>
  [reason, ...cases.filter(({ passed }) => !passed).map(({ message }) => message)].filter(Boolean);

/**
 * A suite of cases that share a judge and sandboxes, and at its end honest work, which none of them may have spoiled.
 *
 * @param more further tests with the same bench
 */
export function describeCases(title: string, cases: Cases, more?: (bench: () => Bench) => void): void {
  describe(title, function () {
    this.timeout(300_000);
    let opened: Bench;
    withBench((bench) => {
      opened = bench;
    });
    itJudges(cases, () => opened);
    more?.(() => opened);

    it("after all of them, honest work has its points", async () => {
      assert.equal((await opened.grade(perfect())).points, 2);
    });
  });
}
