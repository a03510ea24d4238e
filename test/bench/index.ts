// `npm run bench [-- --only NAME] [--json FILE]`: every *.bench.js beside this file, ours next to its peers.
import { fork } from "node:child_process";
import { readdirSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { writeFileAtomic } from "../../lib/util/files.ts";

/** One measurement: smaller is better; a peer that is missing here is NaN. */
export interface Row {
  work: string;
  ours: number;
  peers: Record<string, number>;
  unit: "ms" | "s" | "MB" | "bytes" | "nats";
  goal?: string;
}

/** What a *.bench.ts exports. */
export interface Bench {
  title: string;
  bench(report: (row: Row) => void): Promise<void>;
}

interface Result {
  name: string;
  title: string;
  rows: Row[];
  seconds: number;
  error?: string;
}

const self = fileURLToPath(import.meta.url);
const folder = dirname(self);

if (process.send) await measure(process.argv[2]);
else process.exitCode = await main();

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true },
      json: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  const all = readdirSync(folder)
    .filter((file) => file.endsWith(".bench.js"))
    .map((file) => basename(file, ".bench.js"))
    .sort();
  if (values.help) {
    console.log(`Usage: npm run bench [-- [--only NAME]... [--json FILE]]\n\nBenchmarks: ${all.join(", ")}`);
    return 0;
  }
  const unknown = values.only?.filter((name) => !all.includes(name)) ?? [];
  if (unknown.length > 0) {
    throw new Error(`there is no benchmark ${unknown.join(", ")}: there are ${all.join(", ")}`);
  }
  const machine = await describeMachine();
  console.log(
    Object.entries(machine)
      .map(([key, value]) => `${key}: ${value}`)
      .join(" · "),
  );
  const results: Result[] = [];
  for (const name of values.only ?? all) {
    process.stderr.write(`… ${name}\n`);
    const result = await inChild(name);
    results.push(result);
    console.log(`\n## ${result.title} (${name}, ${result.seconds.toFixed(0)} s)\n\n${table(result.rows)}`);
    if (result.error) console.log(`\nFAILED: ${result.error}`);
  }
  if (values.json) {
    // JSON has no NaN: a peer that was missing is null.
    await writeFileAtomic(values.json, `${JSON.stringify({ machine, results }, null, 2)}\n`);
    console.log(`\nWritten to ${values.json}`);
  }
  const failed = results.filter((result) => result.error);
  if (failed.length > 0) console.error(`\n${failed.map((result) => result.name).join(", ")} failed`);
  return failed.length > 0 ? 1 : 0;
}

/** A process each: no benchmark inherits another's heap or compiled code, and one that crashes ends alone. */
function inChild(name: string): Promise<Result> {
  const started = performance.now();
  const result: Result = { name, title: name, rows: [], seconds: 0 };
  const child = fork(self, [name], { serialization: "advanced", execArgv: ["--expose-gc"] });
  child.on("message", (message: Partial<Result> & { row?: Row }) => {
    if (message.row) result.rows.push(message.row);
    else Object.assign(result, message);
  });
  return new Promise((done) => {
    child.on("error", (error) => {
      result.error = String(error);
    });
    child.on("close", (code, signal) => {
      if (code !== 0) result.error ??= signal ? `ended by ${signal}` : `ended with exit code ${code}`;
      if (!result.error && result.rows.length === 0) result.error = "reported nothing";
      result.seconds = (performance.now() - started) / 1000;
      done(result);
    });
  });
}

/** In the child: runs one benchmark and sends what it reports. */
async function measure(name: string): Promise<void> {
  const send = (message: object) => new Promise((done) => process.send!(message, done));
  try {
    const module: Bench = await import(join(folder, `${name}.bench.js`));
    await send({ title: module.title });
    await module.bench((row) => void send({ row }));
  } catch (error) {
    await send({ error: error instanceof Error ? (error.stack ?? String(error)) : String(error) });
  }
  // Whatever a benchmark left open (sockets, workers) ends with it, once the last message is out.
  await send({});
  process.exit();
}

async function describeMachine(): Promise<Record<string, string | number>> {
  return {
    cpu: cpus()[0]?.model ?? process.arch,
    cores: cpus().length,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    system: `${process.platform} ${process.arch}`,
    node: process.version,
    backend: process.env.SLIMLAB_BACKEND ?? "default",
    date: new Date().toISOString().slice(0, 10),
  };
}

function table(rows: readonly Row[]): string {
  const lines = [["work", "ours", "peers", "ours / peer", "goal"]];
  for (const { work, ours, peers, unit, goal } of rows) {
    const named = Object.entries(peers);
    lines.push([
      work,
      quantity(ours, unit),
      named.map(([peer, value]) => `${peer} ${quantity(value, unit)}`).join(", ") || "–",
      named.map(([, value]) => (Number.isFinite(value) ? (ours / value).toFixed(2) : "–")).join(", ") || "–",
      goal ?? "",
    ]);
  }
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  const text = lines.map((line) => `| ${line.map((cell, i) => cell.padEnd(widths[i])).join(" | ")} |`);
  text.splice(1, 0, `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`);
  return text.join("\n");
}

function quantity(value: number, unit: string): string {
  if (!Number.isFinite(value)) return "missing";
  return `${value >= 100 ? value.toFixed(0) : value.toPrecision(3)} ${unit}`;
}
