// Other people's programs as cells: differences from running them as they are, by kind. See corpus.ts.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";

// In a process of its own: thousands of realms in one that has run other tests have ended V8 of Node 26.
const program = `
import { compare, counts, knownKinds, packagePrograms } from ${JSON.stringify(import.meta.resolve("./corpus.js"))};
const { programs, differences } = await compare(packagePrograms());
const unknown = [...counts(differences)].filter(([kind]) => !knownKinds.some(({ name }) => name === kind));
const told = unknown.flatMap(([kind, all]) =>
  all.map(({ file, source, asItIs, asCell }) =>
    kind + ": " + file + " " + JSON.stringify(source) + ": " + asItIs.text + " / " + asCell.text));
console.log(JSON.stringify({ programs, told }));
process.exit(0);`;

describe("kernel: programs of test262's parser tests", function () {
  this.timeout(600_000);
  it("run as cells as they run by themselves, but for kinds with a reason", async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--input-type=module", "--eval", program],
      { maxBuffer: 1e8 },
    );
    const { programs, told } = JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
    assert.ok(programs > 1900, `${programs} programs`);
    assert.deepEqual(told, []);
  });
});
