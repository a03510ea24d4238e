import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { asModule } from "../../lib/install/labextension/index.ts";

describe("the chart viewer's Plotly", () => {
  it("is a module's own code, in no function that would be read again and again, with its licence", async () => {
    const script = await readFile(createRequire(import.meta.url).resolve("plotly.js-dist"), "utf8");
    const module = asModule(script);
    assert.ok(module !== script, "Plotly is wrapped otherwise than asModule knows");
    assert.ok(!module.includes("root.moduleName = factory"));
    assert.match(module.slice(0, 300), /^\/\*!\s+\* plotly\.js v[\s\S]*MIT license[\s\S]*\nvar Plotly = /);
    assert.match(module.slice(-100), /\nError\.stackTraceLimit = limit; export default Plotly;$/);
  });

  it("is left as it is where it is wrapped otherwise", () => {
    const script = "define([], () => { var Plotly = {}; return Plotly; });";
    assert.equal(asModule(script), script);
  });
});
