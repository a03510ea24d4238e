// A process of its own for one recipe after the other, with a backend of its own; see process.ts.
import { worker } from "./work.ts";

process.on(
  "message",
  worker((answer) => process.send!(answer)),
);
// Without the search there is nothing to work for.
process.on("disconnect", () => process.exit());
