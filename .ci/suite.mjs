// Runs tests by mocha, and the files that fail once more, each alone: node .ci/suite.mjs FOLDER [--silence S] COMMAND...
// COMMAND ends in a call of mocha to which options can be appended. FOLDER gets three files: `counts` (passed, failed,
// skipped) and, appended, `failures` and `flaky`. A run that says nothing for S seconds (900) is ended: it has broken off.
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const [folder, ...command] = process.argv.slice(2);
const silence = command[0] === "--silence" ? Number(command.splice(0, 2)[1]) : 900;
const mocha = ["node", "node_modules/mocha/bin/mocha.js"];
const reporter = fileURLToPath(new URL("reporter.mjs", import.meta.url));

/** Runs a command to its end, or ends it when it falls silent; says how it ended. */
function end([program, ...args]) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
  let silent = false;
  const stop = () => {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  };
  const watch = setTimeout(() => {
    silent = true;
    stop();
  }, silence * 1000);
  const hear = (to) => (text) => {
    watch.refresh();
    to.write(text);
  };
  child.stdout.on("data", hear(process.stdout));
  child.stderr.on("data", hear(process.stderr));
  // A group of its own does not get the terminal's Ctrl-C.
  const leave = () => {
    stop();
    process.exit(1);
  };
  process.on("SIGINT", leave).on("SIGTERM", leave);
  return new Promise((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, signal) => {
      clearTimeout(watch);
      process.off("SIGINT", leave).off("SIGTERM", leave);
      resolve(silent ? `no output for ${silence} s` : signal ? `signal ${signal}` : `exit code ${code}`);
    });
  });
}

/** Runs a command that ends in mocha: what happened, the files that must run again, and how it broke off if it did. */
async function run(words) {
  const record = join(folder, "record");
  rmSync(record, { force: true });
  const how = await end([...words, "--reporter", reporter, "--reporter-option", `record=${record}`]);
  const events = existsSync(record)
    ? readFileSync(record, "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line))
    : [];
  const failed = new Set(events.filter(({ event }) => event === "fail").map(({ path }) => path));
  const ended = events.at(-1)?.event === "end";
  // mocha's exit code is the number of failures: another than 0 without any means that something else went wrong.
  const whole = ended && (how === "exit code 0" || failed.size > 0);
  return {
    events,
    repeat: filesOf(events).filter(({ path, open }) => (open > 0 && !ended) || failed.has(path)),
    broken: whole ? undefined : events.length > 0 ? how : `${how} before the first test`,
  };
}

/** The files of a run, in order, with the number of their suites that have not ended. */
function filesOf(events) {
  const files = new Map();
  for (const { event, path, file } of events) {
    if (event === "found") files.set(path, { path, file, open: (files.get(path)?.open ?? 0) + 1 });
    if (event === "left") files.get(path).open--;
  }
  return [...files.values()];
}

const flaky = [];
const failures = [];
/** For each test (or hook: those are seen only where they fail) its outcomes, one for each run in which it came up. */
const tests = new Map();

/** Adds a run's outcomes. Tests of one name are told apart by their order. */
function take(events) {
  const seen = new Map();
  for (const each of events.filter(({ title }) => title !== undefined)) {
    // A hook before each test may fail at another one the next time.
    const name = `${each.file}: ${each.hook ? each.title.replace(/ for ".*"$/s, "") : each.title}`;
    seen.set(name, (seen.get(name) ?? 0) + 1);
    const key = `${name}\n${seen.get(name)}`;
    if (!tests.has(key)) tests.set(key, { name, hook: each.hook, outcomes: [] });
    tests.get(key).outcomes.push(each);
  }
}

/** What passed at least once has passed; what failed each time has failed. */
function judge() {
  const counts = { passed: 0, failed: failures.length, skipped: 0 };
  for (const { name, hook, outcomes } of tests.values()) {
    const fails = outcomes.filter(({ event }) => event === "fail");
    const passed = outcomes.some(({ event }) => event === "pass") || (hook && fails.length === 1);
    if (passed && fails.length > 0) flaky.push(name);
    if (passed) counts.passed += hook ? 0 : 1;
    else if (fails.length === 0) counts.skipped++;
    else {
      counts.failed++;
      failures.push(`${name}\n${fails.at(-1).error.replace(/^/gm, "    ")}`);
    }
  }
  return counts;
}

let first = await run(command);
// Nothing tells which file it was: lint or build, or a crash before the first test or after the last.
if (first.broken && first.repeat.length === 0) {
  const before = first.broken;
  console.log(`\n--- once more, all of it (${before}): ${command.join(" ")}`);
  first = await run(command);
  if (first.broken && first.repeat.length === 0)
    failures.push(`${command.join(" ")}: ${first.broken}, twice`);
  else flaky.push(`${command.join(" ")}: ${before}`);
}
take(first.events);
const culprit = first.broken && first.repeat.find(({ open }) => open > 0);
const begun = new Set([culprit?.path, ...first.events.filter(({ title }) => title).map(({ path }) => path)]);
for (const { path, file } of first.repeat) {
  // Files that a crash before them has kept from running have two chances, as all others.
  for (let chances = begun.has(path) ? 1 : 2; chances > 0; chances--) {
    console.log(`\n--- once more, alone: ${file}`);
    const again = await run([...mocha, path]);
    take(again.events);
    if (again.broken) (chances > 1 ? flaky : failures).push(`${file}: ${again.broken}`);
    else if (path === culprit?.path) flaky.push(`${file}: ${first.broken}`);
    if (!again.broken && again.repeat.length === 0) break;
  }
}
const { passed, failed, skipped } = judge();
writeFileSync(join(folder, "counts"), `${passed} ${failed} ${skipped}\n`);
for (const [name, lines] of [
  ["flaky", flaky.map((line) => `flaky: ${line}\n`)],
  ["failures", failures.map((line) => `FAILED: ${line}\n`)],
]) {
  appendFileSync(join(folder, name), lines.join(""));
}
