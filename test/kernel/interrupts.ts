// Interrupts ten kinds of endless loop many times each, and counts what became of them; no test, for it takes hours:
//   node dist/test/kernel/interrupts.js [--count 1000] [--only KIND]
// The kernel runs on the Node that runs this. The last line is the counts as JSON; the exit code is 1 if a kernel died, or
// if an interrupt neither ended its cell nor was said to be of no help.
import { parseArgs } from "node:util";
import { type KernelClient, startKernel } from "../../lib/kernel/client.ts";
import { seeded } from "../../lib/util/random.ts";

const chain = (schedule: string) =>
  `await new Promise(() => { const again = () => ${schedule}(again); again(); })`;

const kinds: Record<string, string> = {
  loop: "for (;;);",
  "loop after a wait": "await new Promise((done) => setTimeout(done, 1)); for (;;);",
  "loop in a timer": "setTimeout(() => { for (;;); }, 1); await new Promise(() => {})",
  "microtasks by await": "await (async () => { for (;;) await 0; })()",
  "microtasks that nobody waits for": "(async () => { for (;;) await 0; })()",
  "microtasks by queueMicrotask": chain("queueMicrotask"),
  ticks: chain("process.nextTick"),
  "turns by setImmediate": chain("setImmediate"),
  "regular expression": "/^(a+)+$/.test('a'.repeat(40) + 'b')",
  "wait of Atomics": "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
};

interface Counts {
  interrupts: number;
  /** The cell ended within 2 s, and the next one answered. */
  ended: number;
  /** It took longer. */
  slow: number;
  /** A second interrupt, after 5 s, ended what ran. */
  second: number;
  /** The reader was told that only a restart helps. */
  told: number;
  /** Neither. */
  lost: number;
  /** The kernel's process ended. */
  died: number;
  slowest: number;
}

const { values } = parseArgs({
  options: { count: { type: "string", default: "1000" }, only: { type: "string" } },
});
const count = Number(values.count);
if (!Number.isInteger(count) || count < 1)
  throw new Error(`--count must be a whole number from 1, got ${values.count}`);

const start = () =>
  startKernel({ args: ["--javascript"], env: { SLIMLAB_HISTORY: "off", SLIMLAB_COMPLETION: "off" } });
const pause = (milliseconds: number) =>
  new Promise<"late">((resolve) => setTimeout(resolve, milliseconds, "late"));

/** What one interrupt did, and the kernel for the next one. */
async function once(
  kernel: KernelClient,
  code: string,
  after: number,
): Promise<{ kind: keyof Counts; took: number }> {
  let told = false;
  let begun = () => {};
  const hasBegun = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const running = kernel.execute(code, {
    onMessage: ({ header, content }) => {
      if (header.msg_type === "execute_input") begun();
      told ||= header.msg_type === "stream" && /restart/i.test(String(content.text));
    },
  });
  running.catch(() => {});
  await hasBegun; // What comes before a cell is not its interrupt.
  await pause(after);
  const sent = performance.now();
  kernel.interrupt().catch(() => {});
  const next = running.then(() => kernel.execute("1 + 1"));
  next.catch(() => {});
  try {
    const took = () => performance.now() - sent;
    if ((await Promise.race([next, pause(5000)])) !== "late")
      return { kind: took() <= 2000 ? "ended" : "slow", took: took() };
    kernel.interrupt().catch(() => {});
    if ((await Promise.race([next, pause(10_000)])) !== "late") return { kind: "second", took: took() };
    return { kind: told ? "told" : "lost", took: took() };
  } catch {
    return { kind: "died", took: performance.now() - sent };
  }
}

const all: Record<string, Counts> = {};
for (const [name, code] of Object.entries(kinds)) {
  if (values.only !== undefined && values.only !== name) continue;
  const counts: Counts = {
    interrupts: 0,
    ended: 0,
    slow: 0,
    second: 0,
    told: 0,
    lost: 0,
    died: 0,
    slowest: 0,
  };
  all[name] = counts;
  const random = seeded(9);
  let kernel = await start();
  for (let i = 0; i < count; i++) {
    // Some come before the cell has begun, some in the middle of its first steps, some when it has run for long.
    const { kind, took } = await once(kernel, code, Math.floor(random() ** 3 * 300));
    counts.interrupts++;
    counts[kind]++;
    counts.slowest = Math.max(counts.slowest, Math.round(took));
    if (kind === "told" || kind === "lost" || kind === "died") {
      await kernel.shutdown();
      kernel = await start();
    }
  }
  await kernel.shutdown();
  console.log(`${process.version} ${name}: ${JSON.stringify(counts)}`);
}
console.log(JSON.stringify({ node: process.version, kinds: all }));
process.exit(Object.values(all).some(({ lost, died }) => lost + died > 0) ? 1 : 0);
