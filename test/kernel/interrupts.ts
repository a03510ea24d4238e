// Interrupts kinds of endless loops many times each, and counts what became of them; no test, for it takes hours:
//   node dist/test/kernel/interrupts.js [--count 1000] [--only KIND] [--seed 9]
// The kernel runs on the Node that runs this. The last line is the counts as JSON; the exit code is 1 if a kernel died, or
// if an interrupt neither ended its cell nor was said to be of no help, or if the next cell did not do what it should.
import { parseArgs } from "node:util";
import { type KernelClient, startKernel } from "../../lib/kernel/client.ts";
import { seeded } from "../../lib/util/random.ts";

const chain = (schedule: string) =>
  `await new Promise(() => { const again = () => ${schedule}(again); again(); })`;

/** A cell that ends only by an interrupt; what comes first in its kernel, and what still has to be 2 after it. */
interface Kind {
  code: string;
  setup?: string;
  next?: string;
}

/** TensorFlow.js on WebAssembly, and a step of a training that gives 2. */
const tensors = `import { lenet300, tf, train, useBackend } from "slimlab/nn";
await useBackend();
const weights = tf.variable(tf.ones([8, 8]));
const optimizer = tf.train.sgd(0.001);
const learn = () => void optimizer.minimize(() => tf.tidy(() => weights.matMul(weights).square().mean().asScalar()));
const model = tf.sequential({ layers: [
  tf.layers.dense({ units: 16, activation: "relu", inputShape: [8] }), tf.layers.dense({ units: 1 }) ] });
model.compile({ optimizer: "sgd", loss: "meanSquaredError" });
const xs = tf.ones([64, 8]), ys = tf.zeros([64, 1]);
const images = { images: new Uint8Array(1024 * 784), labels: new Uint8Array(1024), height: 28, width: 28, channels: 1, count: 1024 };
const check = async () => {
  await new Promise((done) => setTimeout(done, 100)); // A person does not begin the next cell in the same turn, either.
  learn();
  await model.fit(xs, ys, { epochs: 1, verbose: 0 });
  const { kernelDepth, gradientDepth, scopeStack } = tf.engine().state;
  return kernelDepth + gradientDepth + scopeStack.length === 0 ? 2 : JSON.stringify(tf.engine().state);
};
await check();`;

const training = (code: string): Kind => ({ setup: tensors, code, next: "await check()" });

const kinds: Record<string, string | Kind> = {
  "steps of a training": training("for (;;) learn();"),
  "steps of a training after a wait": training(
    "await new Promise((done) => setTimeout(done, 1)); for (;;) learn();",
  ),
  "steps of a training in timers": training(
    "await new Promise(() => { const again = () => { learn(); setTimeout(again); }; again(); })",
  ),
  "model.fit": training("await model.fit(xs, ys, { epochs: 1e9, verbose: 0 })"),
  "model.fit that nobody waits for": training(
    "model.fit(xs, ys, { epochs: 1e9, verbose: 0 }); await new Promise(() => {})",
  ),
  "slimlab's own training": training("await train(lenet300(), images, { epochs: 1e9 })"),
  loop: "for (;;);",
  "loop after a wait": "await new Promise((done) => setTimeout(done, 1)); for (;;);",
  "loop in a timer": "setTimeout(() => { for (;;); }, 1); await new Promise(() => {})",
  "microtasks by await": "await (async () => { for (;;) await 0; })()",
  "microtasks that nobody waits for": "(async () => { for (;;) await 0; })()",
  "microtasks by queueMicrotask": chain("queueMicrotask"),
  ticks: chain("process.nextTick"),
  "timers without end":
    "await new Promise((done) => setTimeout(done, 1)); for (;;) setTimeout(() => {}, 1e5)",
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
  /** The next cell did not do what it does without an interrupt. */
  broken: number;
  /** The kernel's process ended. */
  died: number;
  /** Milliseconds until the next cell had answered: half took at most the first, 99 % the second. */
  median: number;
  percentile99: number;
  slowest: number;
}

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "1000" },
    only: { type: "string" },
    seed: { type: "string", default: "9" },
  },
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
  { code, next: question = "1 + 1" }: Kind,
  after: number,
): Promise<{ kind: keyof Counts; took: number; why?: string }> {
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
  const next = running.then(() => kernel.execute(question));
  next.catch(() => {});
  try {
    const isLate = async (time: number) => (await Promise.race([next, pause(time)])) === "late";
    let kind: keyof Counts = "ended";
    if (await isLate(5000)) {
      kernel.interrupt().catch(() => {});
      kind = (await isLate(10_000)) ? (told ? "told" : "lost") : "second";
    }
    const took = performance.now() - sent;
    if (kind === "ended" && took > 2000) kind = "slow";
    if (kind === "told" || kind === "lost") return { kind, took };
    const { outputs } = await next;
    const isRight = outputs.some(
      (one) => one.output_type === "execute_result" && one.data["text/plain"] === "2",
    );
    return isRight ? { kind, took } : { kind: "broken", took, why: JSON.stringify(outputs) };
  } catch (error) {
    return { kind: "died", took: performance.now() - sent, why: String(error) };
  }
}

const all: Record<string, Counts> = {};
for (const [name, given] of Object.entries(kinds)) {
  if (values.only !== undefined && values.only !== name) continue;
  const counts: Counts = {
    interrupts: 0,
    ended: 0,
    slow: 0,
    second: 0,
    told: 0,
    lost: 0,
    broken: 0,
    died: 0,
    median: 0,
    percentile99: 0,
    slowest: 0,
  };
  all[name] = counts;
  const kind: Kind = typeof given === "string" ? { code: given } : given;
  const startFor = async () => {
    const kernel = await start();
    const { status, outputs } = await kernel.execute(kind.setup ?? "");
    if (status !== "ok") throw new Error(`${name}: ${JSON.stringify(outputs)}`);
    return kernel;
  };
  const random = seeded(Number(values.seed));
  const times: number[] = [];
  let kernel = await startFor();
  for (let i = 0; i < count; i++) {
    // Some come before the cell has begun, some in the middle of its first steps, some when it has run for long.
    const { kind: end, took, why } = await once(kernel, kind, Math.floor(random() ** 3 * 300));
    counts.interrupts++;
    counts[end]++;
    times.push(took);
    if (why !== undefined) console.log(`${name}: ${end}: ${why}`);
    if (["told", "lost", "broken", "died"].includes(end)) {
      await kernel.shutdown();
      kernel = await startFor();
    }
  }
  await kernel.shutdown();
  times.sort((a, b) => a - b);
  const within = (share: number) => Math.round(times[Math.ceil(share * count) - 1]);
  [counts.median, counts.percentile99, counts.slowest] = [0.5, 0.99, 1].map(within);
  console.log(`${process.version} ${name}: ${JSON.stringify(counts)}`);
}
console.log(JSON.stringify({ node: process.version, kinds: all }));
process.exit(Object.values(all).some(({ lost, broken, died }) => lost + broken + died > 0) ? 1 : 0);
