// Other people's programs as cells: differences from running them as they are, by kind. See corpus.ts.
import assert from "node:assert/strict";
import { compare, counts, knownKinds, packagePrograms } from "./corpus.ts";

describe("kernel: programs of test262's parser tests", function () {
  this.timeout(600_000);
  it("run as cells as they run by themselves, but for kinds with a reason", async () => {
    const { programs, differences } = await compare(packagePrograms());
    assert.ok(programs > 1900, `${programs} programs`);
    const unknown = [...counts(differences)].filter(
      ([kind]) => !knownKinds.some(({ name }) => name === kind),
    );
    const told = unknown.flatMap(([kind, all]) =>
      all.map(
        ({ file, source, asItIs, asCell }) =>
          `${kind}: ${file} ${JSON.stringify(source)}: ${asItIs.text} / ${asCell.text}`,
      ),
    );
    assert.deepEqual(told, []);
  });
});
