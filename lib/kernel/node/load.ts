// What main.cjs and server-thread.cjs are (bundle.ts makes both of this file): each runs the bundle of its thread, from what
// V8 has kept of compiling it (keep.ts), which takes a tenth of the time. Where nothing was kept for this Node, or by
// another one, V8 compiles.
import { readFileSync, renameSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Script } from "node:vm";
import { keepVariable, keptFor } from "./kept.ts";

// bundle.ts says these. V8 looks only at a text's length to know it again, so the name of what is kept holds a hash.
declare const bundleName: string;
declare const bundleHash: string;

const filename = join(__dirname, bundleName);
const kept = join(__dirname, keptFor(bundleName, bundleHash));

// V8 keeps a script's name, too: what was moved is another's. (V8 wants its own part to begin at a multiple of 8.)
const size = Buffer.byteLength(filename) + 1;
const place = Buffer.alloc(size + (-size & 7));
place.write(filename);

function readKept(): Buffer | undefined {
  try {
    const found = readFileSync(kept);
    return place.equals(found.subarray(0, place.length)) ? found.subarray(place.length) : undefined;
  } catch {
    return undefined;
  }
}

const cachedData = process.env[keepVariable] ? undefined : readKept();
const text = readFileSync(filename, "latin1"); // It is ASCII.
const script = new Script(`(function (exports, require, module, __filename, __dirname) { ${text}\n})`, {
  filename,
  cachedData,
});
if (process.env[keepVariable]) {
  // By then it holds the functions that a start and a cell have called.
  process.once("exit", () => {
    const temporary = `${kept}.${process.pid}.tmp`;
    try {
      writeFileSync(temporary, Buffer.concat([place, script.createCachedData()]));
      renameSync(temporary, kept);
    } catch {
      // keep.ts sees that there is none.
    }
  });
}
if (process.env.SLIMLAB_DEBUG) {
  const isKept = script.cachedDataRejected === false;
  writeSync(2, `[slimlab] ${bundleName}: ${isKept ? "as it was kept" : "compiled"}\n`);
}
script.runInThisContext()(exports, require, module, filename, __dirname);
