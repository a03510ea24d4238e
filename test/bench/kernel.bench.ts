// The kernel against tslab, Deno's and ipykernel, all through the same client. Peers that are not here are fetched once
// (Deno, from npm) or left out (ipykernel, where python3 has none). SLIMLAB_BENCH_BEFORE names another built clone of
// slimlab, whose kernel is then the only peer: what a change has cost, in one run.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type ExecuteResult,
  type KernelClient,
  type StartOptions,
  startKernel,
} from "../../lib/kernel/client.ts";
import { packageRoot } from "../../lib/util/files.ts";
import type { Row } from "./index.ts";
import { median } from "./median.ts";
import { residentMemory } from "./memory.ts";

export const title = "The kernel, against other kernels";

interface Kernel {
  name: string;
  start: StartOptions;
  /** The same cells in the kernel's language. */
  cells: { small: (i: number) => string; lines: string; importTfjs?: string; tfjs?: (i: number) => string };
}

const typescriptCells: Kernel["cells"] = {
  small: (i) => `const value${i % 3}: number = ${i}; value${i % 3} + 1`,
  lines: "for (let i = 0; i < 100000; i++) console.log('line ' + i)",
  importTfjs: "import * as tf from '@tensorflow/tfjs'; const before: number = 1;",
  // (Its text is another each time: a checker may keep its answer to what it has seen.)
  tfjs: (i) =>
    `const tensor = tf.tensor2d([[1, 2], [3, ${i}]]); const total: number = tensor.sum().dataSync()[0]; total`,
};

const cache = join(packageRoot, ".slimlab", "bench");

/** A notebook's folder. In slimlab's own, its tsconfig.json would add the types of browsers and of the tests. */
function notebookFolder(): string {
  const folder = join(cache, "notebook");
  mkdirSync(folder, { recursive: true });
  const compilerOptions = { lib: ["esnext"], types: ["node"] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  return folder;
}

function deno(): Kernel | undefined {
  const folder = join(cache, "deno");
  const program = () =>
    spawnSync(
      "node",
      ["-e", "console.log(require('fs').realpathSync(require.resolve('deno/package.json')))"],
      {
        cwd: folder,
        encoding: "utf8",
      },
    );
  if (!existsSync(join(folder, "node_modules", "deno"))) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), '{ "private": true }');
    spawnSync("npm", ["install", "--no-save", "--ignore-scripts", "deno@2.9.6"], {
      cwd: folder,
      stdio: "ignore",
    });
  }
  if (program().status !== 0) return undefined;
  const system = `${process.platform}-${process.arch}${process.platform === "linux" ? "-glibc" : ""}`;
  const binary = join(
    folder,
    "node_modules",
    "@deno",
    system,
    process.platform === "win32" ? "deno.exe" : "deno",
  );
  if (!existsSync(binary)) return undefined;
  spawnSync("chmod", ["+x", binary]);
  return {
    name: "Deno",
    start: {
      cwd: packageRoot,
      argv: [binary, "jupyter", "--kernel", "--conn", "{connection_file}"],
      env: { DENO_NO_UPDATE_CHECK: "1" },
      interruptMode: "message",
    },
    cells: {
      ...typescriptCells,
      importTfjs: "import * as tf from 'npm:@tensorflow/tfjs@4.22.0'; const before = 1;",
    },
  };
}

function tslab(): Kernel | undefined {
  const program = join(packageRoot, "node_modules", "tslab", "bin", "tslab");
  if (!existsSync(program)) return undefined;
  return {
    name: "tslab",
    start: {
      cwd: packageRoot,
      argv: [process.execPath, program, "kernel", "--config-path", "{connection_file}"],
    },
    cells: typescriptCells,
  };
}

function ipykernel(): Kernel | undefined {
  for (const python of [
    process.env.SLIMLAB_BENCH_PYTHON,
    join(packageRoot, ".venv", "bin", "python"),
    "python3",
  ]) {
    if (!python || spawnSync(python, ["-c", "import ipykernel"], { stdio: "ignore" }).status !== 0) continue;
    return {
      name: "ipykernel",
      start: {
        argv: [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        interruptMode: "signal",
      },
      cells: {
        small: (i) => `value${i % 3} = ${i}; value${i % 3} + 1`,
        lines: "for i in range(100000): print(f'line {i}')",
      },
    };
  }
  return undefined;
}

function before(): Kernel | undefined {
  const clone = process.env.SLIMLAB_BENCH_BEFORE;
  if (!clone) return undefined;
  const program = join(clone, "dist", "lib", "kernel", "node", "main.cjs");
  const former = join(clone, "dist", "lib", "kernel", "main.cjs");
  const main = [program, former].find((file) => existsSync(file));
  if (!main) throw new Error(`SLIMLAB_BENCH_BEFORE must name a built clone of slimlab: no ${program}`);
  return {
    name: "before",
    start: { argv: [process.execPath, main, "--connection-file", "{connection_file}"] },
    cells: typescriptCells,
  };
}

const ours: Kernel = { name: "ours", start: {}, cells: typescriptCells };
const unchecked: Kernel = { ...ours, name: "ours, checking off", start: { args: ["--check=off"] } };

const pause = (milliseconds: number) =>
  new Promise<undefined>((resolve) => setTimeout(resolve, milliseconds));

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

/** A cell that fails is no measurement. */
function demand({ status, outputs }: ExecuteResult): void {
  if (status !== "ok") throw new Error(`a cell failed: ${JSON.stringify(outputs)}`);
}

/**
 * Node 20 reads the certificates of NODE_EXTRA_CA_CERTS at every start, whether or not it will use them: that is the
 * machine's setting and no kernel's, so kernels are measured without it, and a start with it has a row of its own.
 */
const certificates = "NODE_EXTRA_CA_CERTS";

async function withKernel<T>(
  kernel: Kernel,
  work: (client: KernelClient) => Promise<T>,
  limit = 60_000,
): Promise<T> {
  const client = await startKernel({
    cwd: notebookFolder(),
    ...kernel.start,
    env: { SLIMLAB_HISTORY: "off", [certificates]: undefined, ...kernel.start.env },
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    // A kernel that loses a message leaves its client waiting for ever.
    return await Promise.race([
      work(client),
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${kernel.name} did not finish`)), limit);
      }),
    ]);
  } finally {
    clearTimeout(timer);
    await client.shutdown();
  }
}

async function settled(client: KernelClient, kernel: Kernel): Promise<void> {
  for (let i = 0; i < 8; i++) await client.execute(kernel.cells.small(i));
  await pause(500);
}

async function startTime(kernel: Kernel): Promise<number> {
  const started = performance.now();
  return withKernel(kernel, async () => performance.now() - started);
}

function withCertificates(kernel: Kernel): Kernel {
  const env = { ...kernel.start.env, [certificates]: process.env[certificates] };
  return { ...kernel, start: { ...kernel.start, env } };
}

async function smallCell(kernel: Kernel): Promise<number> {
  return withKernel(kernel, async (client) => {
    await settled(client, kernel);
    const times: number[] = [];
    for (let i = 0; i < 60; i++) {
      times.push(await timed(async () => demand(await client.execute(kernel.cells.small(i)))));
    }
    return median(times);
  });
}

async function tfjs(kernel: Kernel): Promise<{ cell: number; completeIdle: number; completeBusy: number }> {
  return withKernel(kernel, async (client) => {
    demand(await client.execute(kernel.cells.importTfjs!));
    await settled(client, kernel);
    const times: number[] = [];
    for (let i = 0; i < 25; i++) {
      times.push(await timed(async () => demand(await client.execute(kernel.cells.tfjs!(i)))));
    }
    const code = "tf.tens"; // Deno completes what it can look up without calling anything.
    const complete = async () => {
      const { content } = await client.request("shell", "complete_request", {
        code,
        cursor_pos: code.length,
      });
      if (!content.matches.includes("tf.tensor") && !content.matches.includes("tensor"))
        throw new Error("no completion");
    };
    const idle: number[] = [];
    for (let i = 0; i < 15; i++) idle.push(await timed(complete));
    // A cell that is busy for as long as it takes, and by its own clock: tslab cannot be interrupted.
    const busy: number[] = [];
    const cell = client.execute("{ const end = Date.now() + 2500; while (Date.now() < end); }");
    await pause(300);
    for (let i = 0; i < 9 && (i === 0 || busy[0] < 1000); i++) busy.push(await timed(complete));
    await cell;
    return { cell: median(times), completeIdle: median(idle), completeBusy: median(busy) };
  });
}

async function interruptTime(kernel: Kernel, loop: string): Promise<number> {
  return withKernel(kernel, async (client) => {
    await settled(client, kernel);
    const times: number[] = [];
    for (let i = 0; i < 7; i++) {
      const running = client.execute(loop);
      await pause(150);
      const stopped = timed(async () => {
        client.interrupt().catch(() => {});
        await running;
      });
      const ended = await Promise.race([stopped, pause(5000)]);
      if (ended === undefined) {
        stopped.catch(() => {});
        process.kill(client.pid!, "SIGKILL");
        return Number.NaN;
      }
      times.push(ended);
    }
    return median(times);
  });
}

/** A megabyte of pasted data, which is the same in Python. */
async function megabyte(kernel: Kernel): Promise<number> {
  const rows = Array.from({ length: 42_000 }, (_, i) => `{"a": ${i}, "b": "x${i}"}`).join(",");
  return withKernel(kernel, async (client) => {
    await settled(client, kernel);
    const times: number[] = [];
    for (let i = 0; i < 3; i++) {
      const code = kernel.name === "ipykernel" ? `rows${i} = [${rows}]` : `const rows${i} = [${rows}];`;
      times.push(await timed(async () => demand(await client.execute(code))));
    }
    return median(times);
  });
}

/** A progress bar in a hot loop: the time of a million updates in seconds, and the kernel's memory in MB behind them. */
async function manyUpdates(kernel: Kernel): Promise<[seconds: number, memory: number]> {
  return withKernel(
    kernel,
    async (client) => {
      await settled(client, kernel);
      const code = "const bar = display('0'); for (let i = 1; i <= 1e6; i++) bar.update(String(i));";
      const took = await timed(async () => demand(await client.execute(code)));
      return [took / 1000, process.platform === "linux" ? memory(client.pid!) : Number.NaN];
    },
    120_000,
  );
}

async function manyLines(kernel: Kernel): Promise<number> {
  return withKernel(kernel, async (client) => {
    await settled(client, kernel);
    const times: number[] = [];
    for (let i = 0; i < 3; i++) {
      let text = "";
      times.push(
        await timed(async () => {
          const { outputs } = await client.execute(kernel.cells.lines);
          text = outputs.map((output) => (output.output_type === "stream" ? output.text : "")).join("");
        }),
      );
      const lines = text.split("\n");
      if (lines.length !== 100_001 || lines[99_999] !== "line 99999") {
        throw new Error(`${kernel.name} lost output: ${lines.length - 1} lines of 100,000`);
      }
    }
    return median(times);
  });
}

/** Resident memory of a process in MB. */
const memory = (pid: number) => residentMemory(pid) / 1024;

/** A process and those it has started, from whichever of its threads. */
function family(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`)
    .flatMap((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" "))
    .filter(Boolean);
  return [pid, ...children.flatMap((child) => family(Number(child)))];
}

async function memoryOf(kernel: Kernel): Promise<number> {
  return withKernel(kernel, async (client) => {
    await settled(client, kernel);
    for (let i = 0; i < 2; i++) await client.execute(kernel.cells.small(i));
    // Servers that a kernel starts for later get the time to come up; where types are not checked, ours waits for a pause.
    if (kernel !== unchecked) await pause(2000);
    return family(client.pid!).reduce((total, pid) => total + memory(pid), 0);
  });
}

/** How much the kernel's own process, and TypeScript's server, have grown from the 2,000th cell to the 10,000th. */
async function growth(kernel: Kernel): Promise<[own: number, server: number]> {
  return withKernel(
    kernel,
    async (client) => {
      const pids = async (cells: number) => {
        for (let i = 0; i < cells; i++) await client.execute(kernel.cells.small(i));
        const [own, ...others] = family(client.pid!).map(memory);
        return [own, others.reduce((total, each) => total + each, 0)];
      };
      const before = await pids(2000);
      const after = await pids(8000);
      return [after[0] - before[0], after[1] - before[1]];
    },
    600_000,
  );
}

/** Measures kernels by turns, so that what else the machine does meets all alike: the median of each, by name. */
async function byTurns(
  kernels: (Kernel | undefined)[],
  rounds: number,
  measure: (kernel: Kernel) => Promise<number>,
): Promise<Record<string, number>> {
  const times = new Map(kernels.flatMap((kernel): [Kernel, number[]][] => (kernel ? [[kernel, []]] : [])));
  for (let i = 0; i < rounds; i++) {
    for (const [kernel, found] of times) {
      try {
        found.push(await measure(kernel));
      } catch (error) {
        if (kernel === ours || kernel === unchecked) throw error;
        times.delete(kernel); // It cannot do this: it has no figure.
      }
    }
  }
  return Object.fromEntries([...times].map(([kernel, found]) => [kernel.name, median(found)]));
}

async function against(
  peers: (Kernel | undefined)[],
  measure: (kernel: Kernel) => Promise<number>,
): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const peer of peers) {
    if (!peer) continue;
    try {
      const value = await measure(peer);
      if (Number.isFinite(value)) found[peer.name] = value;
    } catch {
      // It cannot do this: it has no figure.
    }
  }
  return found;
}

export async function bench(report: (row: Row) => void): Promise<void> {
  const b = before();
  const [d, t, i] = b ? [] : [deno(), tslab(), ipykernel()];
  const all = b ? [b] : [t, d, i];
  const { ours: start, ...starts } = await byTurns([ours, ...all], 7, startTime);
  report({ work: "start to ready", ours: start, peers: starts, unit: "ms", goal: "at most 0.5 of Deno's" });
  if (process.env[certificates]) {
    const { ours: start, ...starts } = await byTurns([ours, ...all], 7, (kernel) =>
      startTime(withCertificates(kernel)),
    );
    report({ work: `start to ready, with ${certificates}`, ours: start, peers: starts, unit: "ms" });
  }
  const {
    [ours.name]: checked,
    [unchecked.name]: small,
    ...cells
  } = await byTurns([ours, unchecked, ...all], 5, smallCell);
  report({
    work: "small cell, checking off",
    ours: small,
    peers: cells,
    unit: "ms",
    goal: "at most 0.9 of Deno's",
  });
  report({
    work: "small cell, types checked",
    ours: checked,
    peers: cells,
    unit: "ms",
    goal: "at most 0.8 of ipykernel's",
  });
  const mine = await tfjs(ours);
  const theirs: Record<string, Awaited<ReturnType<typeof tfjs>>> = {};
  for (const peer of [t, d, b]) {
    if (!peer) continue;
    try {
      theirs[peer.name] = await tfjs(peer);
    } catch {
      // Deno reads packages from the network, which may not be there.
    }
  }
  const part = (key: "cell" | "completeIdle" | "completeBusy") =>
    Object.fromEntries(Object.entries(theirs).map(([name, times]) => [name, times[key]]));
  const rows = [
    ["cell with tfjs in scope, types checked", "cell", "at most a tenth of tslab's"],
    ["completion with tfjs in scope, kernel idle", "completeIdle", "at most half of Deno's idle"],
    ["completion with tfjs in scope, kernel busy", "completeBusy", "at most half of Deno's idle"],
  ] as const;
  for (const [work, key, goal] of rows) report({ work, ours: mine[key], peers: part(key), unit: "ms", goal });
  const loops = { endless: "while (true) {}", python: "while True: pass" };
  const interrupt = (kernel: Kernel) =>
    interruptTime(kernel, kernel.name === "ipykernel" ? loops.python : loops.endless);
  report({
    work: "interrupt of while (true) {}",
    ours: await interrupt(ours),
    peers: await against(all, interrupt),
    unit: "ms",
    goal: "at most ipykernel's",
  });
  report({
    work: "interrupt of a loop after an await",
    ours: await interruptTime(ours, "await new Promise((r) => setTimeout(r, 5)); while (true) {}"),
    peers: {},
    unit: "ms",
  });
  report({
    work: "100,000 lines of console.log",
    ours: await manyLines(ours),
    peers: await against(all, manyLines),
    unit: "ms",
    goal: "at most half of Deno's and of ipykernel's",
  });
  const data = "cell of a megabyte of data";
  const {
    [ours.name]: typed,
    [unchecked.name]: bare,
    ...others
  } = await byTurns([ours, unchecked, ...all], 1, megabyte);
  report({ work: `${data}, types checked`, ours: typed, peers: others, unit: "ms", goal: "under 2,000 ms" });
  report({ work: `${data}, checking off`, ours: bare, peers: others, unit: "ms" });
  const [seconds, resident] = await manyUpdates(ours);
  report({ work: "1,000,000 display updates", ours: seconds, peers: {}, unit: "s", goal: "under 10 s" });
  if (Number.isFinite(resident))
    report({ work: "memory behind them", ours: resident, peers: {}, unit: "MB", goal: "under 200 MB" });
  if (process.platform === "linux") {
    report({
      work: "memory after 10 cells, language server included",
      ours: await memoryOf(ours),
      peers: await against(all, memoryOf),
      unit: "MB",
    });
    report({
      work: "memory after 10 cells, checking off, before TypeScript's server starts",
      ours: await memoryOf(unchecked),
      peers: {},
      unit: "MB",
    });
    const [own, server] = await growth(ours);
    const from = "from 2,000 to 10,000 cells";
    report({ work: `memory growth ${from}`, ours: own, peers: {}, unit: "MB", goal: "under 20 MB" });
    report({ work: `TypeScript's server's growth ${from}`, ours: server, peers: {}, unit: "MB" });
  }
}
