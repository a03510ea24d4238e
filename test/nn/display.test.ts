import assert from "node:assert/strict";
import { lenet300, loadDanfo, tf, useBackend } from "slimlab/nn";
import { bundleOf } from "../../lib/kernel/show/show.ts";

const display = Symbol.for("Jupyter.display");
const shown = (value: unknown): Record<string, string> =>
  (value as Record<symbol, () => Record<string, string>>)[display]();

describe("nn/display: what a cell's value shows", () => {
  before(async () => {
    await useBackend("wasm");
  });

  it("a tensor is shown by the kernel, whether or not slimlab/nn is loaded", () => {
    assert.match(
      String((bundleOf(tf.tensor2d([[1, 2]])) as Record<string, string>)["text/html"]),
      /float32 \[1, 2\]/,
    );
    assert.match(String((bundleOf(tf.variable(tf.scalar(7))) as Record<string, string>)["text/plain"]), /7/);
  });

  it("a model shows its layers", () => {
    const bundle = shown(lenet300(1));
    assert.equal(
      bundle["text/plain"],
      [
        "lenet-300-100: 266,610 parameters",
        "layer  kind   output  parameters",
        "fc1    Dense     300     235,500",
        "fc2    Dense     100      30,100",
        "fc3    Dense      10       1,010",
      ].join("\n"),
    );
    assert.match(
      bundle["text/html"],
      /<td style="text-align: left">fc2<\/td><td style="text-align: left">Dense<\/td><td style="text-align: right">100<\/td><td style="text-align: right">30,100<\/td>/,
    );
  });

  it("a data frame shows itself as a table, its text escaped, a long one cut", async () => {
    const { DataFrame, Series } = await loadDanfo();
    const bundle = shown(new DataFrame({ "a<b": [1, 0.1 + 0.2], name: ["x", "<script>"] }));
    assert.equal(bundle["text/plain"], ["   a<b  name", "0    1  x", "1  0.3  <script>"].join("\n"));
    assert.match(bundle["text/html"], /<th[^>]*>a&lt;b<\/th>/);
    assert.ok(bundle["text/html"].includes(">&lt;script&gt;</td>"));
    const long = shown(new Series(Array.from({ length: 70 }, (_, i) => i)));
    assert.match(long["text/plain"], /^the first 50 of 70 rows\n/);
    assert.match(long["text/plain"], /\n49 +49$/);
  });
});
