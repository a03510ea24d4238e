// `slimlab reproduce`: the records of chapter 4.3, run again and held against what was measured before.
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Comparison, ExperimentName, Results } from "../pipeline/index.ts";
import { checkInteger, checkOneOf } from "../util/check.ts";
import { untilInterrupted } from "../util/interrupt.ts";
import { progress } from "../util/progress.ts";
import { tableOf } from "../util/table.ts";

const help = `Usage: slimlab reproduce NAME [OPTION]...

Runs one of the records of chapter 4.3: compresses a network, trains a whole one for as long by the same teacher, measures
the decoded file once on the test images, and compares with earlier results: those in the folder, or those that ship.

  --seeds N      how many seeds, from 1 on (default: 3)
  --out DIR      where results.json and the files go (default: .slimlab/records/NAME); a stopped run goes on there
  --data NAME    another data set: mnist is the whole of MNIST, where SLIMLAB_DATA has it
  --fresh        take no step from the cache
  --kept SHARE   keep another share of the weights, for a front of bytes against mistakes: 0.05 is 5 %
  --longer N     train N times as long, file and reference alike

Without NAME, lists the records. Ends with 1 where figures do not agree with the earlier ones.`;

/** The command. */
export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      help: { type: "boolean", short: "h" },
      seeds: { type: "string", default: "3" },
      out: { type: "string" },
      data: { type: "string" },
      fresh: { type: "boolean", default: false },
      kept: { type: "string" },
      longer: { type: "string" },
    },
  });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const {
    compareResults,
    experimentNames,
    experiments,
    experimentWith,
    readResults,
    recordFolder,
    reproduce,
    summaryOf,
  } = await import("../pipeline/index.ts");
  if (positionals.length === 0) {
    for (const one of experimentNames) console.log(`${one.padEnd(26)} ${experiments[one].title}`);
    return 0;
  }
  if (positionals.length > 1) throw new Error(`one NAME is run at a time, got ${positionals.join(" ")}`);
  const name = checkOneOf("NAME", positionals[0] as ExperimentName, experimentNames);
  const count = checkInteger("--seeds", Number(values.seeds), 1, 100);
  const settings = Object.entries({ kept: values.kept, longer: values.longer }).flatMap(([key, text]) =>
    text === undefined ? [] : [[key, Number(text)] as const],
  );
  const experiment = experimentWith(name, Object.fromEntries(settings));
  const isOwn = experiment === experiments[name];
  const point = [name, ...settings.flat()].join("-");
  const out = values.out ?? join(".slimlab", "records", point);
  const earlier = await readResults(out);
  // References train last: a run that was stopped there has all its files and goes on.
  const isDone = earlier !== undefined && earlier.runs.filter(({ reference }) => reference).length >= count;
  // What lies there whole is what to compare with, and stays.
  const folder = isDone ? join(out, "again") : out;
  const bar = progress(name, 100);
  let results: Results;
  try {
    results = await untilInterrupted((signal) =>
      reproduce(name, {
        seeds: Array.from({ length: count }, (_, i) => i + 1),
        out: folder,
        experiment,
        ...(values.data === undefined ? {} : { data: values.data }),
        ...(values.fresh || isDone ? { cache: false } : {}),
        onProgress: (share, note) => bar.update(Math.floor(100 * share), note),
        signal,
      }),
    );
  } finally {
    bar.end();
  }
  console.log(`${results.title}; ${results.data.name}, ${results.backend}`);
  console.log(inTable(summaryOf(results)));
  console.log(`${join(folder, "results.json")}`);
  // What ships is held against the record alone: other settings are another point of the front.
  const shipped = isOwn ? await readResults(join(recordFolder, name)) : undefined;
  const before = isDone ? earlier : shipped;
  if (!before || (!isDone && before.data.sha256 !== results.data.sha256)) return 0;
  const rows = compareResults(before, results);
  console.log(`Compared with ${isDone ? out : "what ships"}:`);
  console.log(inTable(rows.map(shortened)));
  return rows.every(({ agrees }) => agrees) ? 0 : 1;
}

const shortened = ({ figure, before, now, agrees }: Comparison) => {
  const short = (value: string | number) => {
    const text = String(value);
    return text.length > 40 ? `${text.slice(0, 37)}...` : text;
  };
  return { figure, before: short(before), now: short(now), "": agrees ? "agrees" : "differs" };
};

function inTable(rows: Record<string, string | number>[]): string {
  const columns = Object.keys(rows[0]);
  return tableOf(
    columns,
    rows.map((row) => columns.map((column) => String(row[column]))),
  )["text/plain"];
}
