// mocha's own reporter for people, which also keeps a record for suite.mjs: a line of JSON for each thing that happens,
// written at once, so that a run that breaks off leaves what was known until then. --reporter-option record=FILE
import { appendFileSync } from "node:fs";
import { relative } from "node:path";
import Mocha from "mocha";

/** A compiled test by the name of its source. */
const nameOf = (file) => (file ? relative(".", file).replace(/^dist[\\/](.*)\.js$/, "$1.ts") : "(no file)");

/** The file of a test or hook; a hook knows only through its suite. */
function fileOf(test) {
  let { file } = test;
  for (let suite = test.parent; !file && suite; suite = suite.parent) file = suite.file;
  return file;
}

export default class Reporter extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const write = (event, file, more = {}) => {
      const line = { event, path: file, file: nameOf(file), ...more };
      appendFileSync(options.reporterOption.record, `${JSON.stringify(line)}\n`);
    };
    runner.once("start", () => {
      // A suite without tests is never run, and so never left.
      const suites = runner.suite.suites.filter((suite) => suite.total() > 0);
      for (const { file } of [...suites, ...runner.suite.tests]) write("found", file);
    });
    const begun = new Map();
    const taken = new Map();
    runner.on("suite", (suite) => suite.parent?.root && begun.set(suite, Date.now()));
    runner.on("suite end", (suite) => {
      if (!suite.parent?.root) return;
      write("left", suite.file);
      const name = nameOf(suite.file);
      taken.set(name, (taken.get(name) ?? 0) + (Date.now() - begun.get(suite)) / 1000);
    });
    for (const event of ["pass", "fail", "pending"]) {
      runner.on(event, (test, error) => {
        write(event, fileOf(test), {
          title: test.fullTitle(),
          hook: test.type === "hook",
          error: error && String(error.stack ?? error),
        });
        if (test.parent?.root && test.type !== "hook") write("left", test.file);
      });
    }
    runner.once("end", () => {
      write("end");
      const slow = [...taken].filter(([, seconds]) => seconds >= 10).sort(([, a], [, b]) => b - a);
      if (slow.length > 0) console.log("  Files of 10 s and more, their hooks included:");
      for (const [name, seconds] of slow) console.log(`    ${seconds.toFixed(0).padStart(4)} s  ${name}`);
      console.log();
    });
  }
}
