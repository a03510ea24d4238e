// `slimlab grade-worker`: takes work from a queue, on any number of machines: submissions of `slimlab grade --queue`, and the
// trials of searches.
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { gradeDesk, gradeKind } from "../classroom/bench.ts";
import { chooseIsolation } from "../classroom/choose-isolation.ts";
import { searchDesk, searchKind } from "../pipeline/queue.ts";
import { passwordVariable, queueAddress, serve } from "../queue/index.ts";
import { checkInteger, checkNumber } from "../util/check.ts";
import { untilInterrupted } from "../util/interrupt.ts";

const help = `Usage: slimlab grade-worker [OPTION]... ADDRESS

Takes work from the queue at ADDRESS (redis://HOST:PORT, rediss:// encrypted) until Ctrl-C: submissions of slimlab grade
--queue, and trials of searches. Any number of workers may be there, of the same version of slimlab. What a worker that dies
has begun, another one does. Whoever can reach the queue can have the workers run programs: keep it within your network and
give it a password, which may also stand in ${passwordVariable}.

  --jobs N   tasks at a time (default: the cores there are)
  --lease S  seconds without a sign of life after which others take a worker's tasks (default: 30)
  --isolation HOW, --image IMAGE, --unsafe
             how students' code is kept apart, as for slimlab grade`;

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      help: { type: "boolean", short: "h" },
      jobs: { type: "string" },
      lease: { type: "string", default: "30" },
      isolation: { type: "string" },
      image: { type: "string" },
      unsafe: { type: "boolean" },
    },
  });
  if (values.help || positionals.length !== 1) {
    console.log(help);
    return values.help ? 0 : 2;
  }
  const { shown } = queueAddress(positionals[0]);
  const places = checkInteger("--jobs", Number(values.jobs ?? availableParallelism()), 1, 256);
  const lease = checkNumber("--lease", Number(values.lease), 1, 3600);
  const isolation = chooseIsolation(values, (line) => console.error(line));
  let tasks = 0;
  await untilInterrupted((signal) => {
    const desks = {
      [gradeKind]: gradeDesk({ isolation, image: values.image }),
      [searchKind]: searchDesk,
    } as never;
    signal.addEventListener("abort", () => console.error("ending when what is begun is done"), {
      once: true,
    });
    return serve(positionals[0], desks, {
      places,
      lease,
      signal,
      onTask: (kind) => console.log(`task ${++tasks}: ${kind}`),
      onConnection: (there) =>
        console.error(there ? `at the queue ${shown}` : `the queue at ${shown} is away; waiting for it`),
    });
  });
  return 0;
}
