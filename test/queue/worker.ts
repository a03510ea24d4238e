// A worker of the tests: it tells of each task on its output, and answers with what it was asked, its run's name before it.
import { serve } from "../../lib/queue/index.ts";

const [url, lease] = process.argv.slice(2);
const pause = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds));

await serve(
  url,
  {
    echo: async (start: { name: string }) => ({
      async answer({ task, wait = 0 }: { task: number; wait?: number }) {
        console.log(`begin ${start.name} ${task}`);
        await pause(wait);
        if (task < 0) throw new Error("less than none");
        console.log(`end ${start.name} ${task}`);
        return { answer: `${start.name} ${task}`, bytes: Uint8Array.of(task), pid: process.pid };
      },
      end: async () => console.log(`close ${start.name}`),
    }),
  } as never,
  { places: 2, lease: Number(lease), onConnection: (there) => console.log(there ? "there" : "away") },
);
