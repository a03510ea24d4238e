// Tables for readers: heads, numbers and signs as they are read, errors that name their place.
import assert from "node:assert/strict";
import { table } from "../../lib/plots/index.ts";
import { display } from "../../lib/util/display.ts";

describe("tables", () => {
  const html = (...given: Parameters<typeof table>) => table(...given)[display]()["text/html"];

  it("have their rows' names as heads, numbers aligned and rounded, and no index", () => {
    const rows = [
      { layer: "fc1", weights: 235_200, "error, %": 1.23456, lost: "-0.04 ± 0.20" },
      { layer: "a<b", weights: 7, "error, %": -12.5, lost: "-0.0 ± 0.1" },
    ];
    assert.equal(
      html(rows),
      '<table><thead><tr><th style="text-align: left">layer</th><th style="text-align: right">weights</th>' +
        '<th style="text-align: right">error, %</th><th style="text-align: right">lost</th></tr></thead><tbody>' +
        '<tr><td style="text-align: left">fc1</td><td style="text-align: right">235,200</td><td style="text-align: right">1.235</td>' +
        '<td style="text-align: right; white-space: nowrap">−0.04 ± 0.20</td></tr>' +
        '<tr><td style="text-align: left">a&lt;b</td><td style="text-align: right">7</td><td style="text-align: right">−12.50</td>' +
        '<td style="text-align: right; white-space: nowrap">0.0 ± 0.1</td></tr></tbody></table>',
    );
    assert.equal(
      String(table(rows)),
      [
        "layer  weights  error, %          lost",
        "fc1    235,200     1.235  −0.04 ± 0.20",
        "a<b          7    −12.50     0.0 ± 0.1",
      ].join("\n"),
    );
  });

  it("align sentences that begin with a number as text, and leave long ones room", () => {
    const why = "6 bits would save 125 bytes and diverge more";
    const shown = html([
      { layer: "conv1", why, unit: "3.5 GB", pair: "8.0 % (8.0 %)" },
      { layer: "fc1", why: "8 bits are enough", unit: "12 s", pair: "26.0 % (26.0 %)" },
    ]);
    assert.ok(shown.includes('<th style="text-align: left; min-width: 14em">why</th>'), shown);
    assert.ok(shown.includes(`<td style="text-align: left">${why}</td>`), shown);
    assert.ok(shown.includes('<td style="text-align: right; white-space: nowrap">3.5 GB</td>'), shown);
    assert.ok(shown.includes('<th style="text-align: right">pair</th>'), shown);
    assert.equal(shown.match(/min-width/g)?.length, 1, "only the long one");
  });

  it("show a dash for nothing, words at the left, small and large numbers with four digits", () => {
    const shown = (...values: (number | string | null | undefined)[]) =>
      String(table(values.map((x) => ({ x }))))
        .split("\n")
        .slice(1)
        .map((line) => line.trim());
    assert.deepEqual(shown(null, undefined, Number.NaN, "–"), ["–", "–", "–", "–"]);
    assert.deepEqual(shown(0.00012344, 1e-12, 123_456.78, -0, Number.NEGATIVE_INFINITY, 2 ** 53), [
      "0.0001234",
      "1.000e-12",
      "123,457",
      "0",
      "−∞",
      "9,007,199,254,740,992",
    ]);
    assert.deepEqual(shown(-0.00001234, "-x", "-0", "-0.50"), ["−0.00001234", "-x", "0", "−0.50"]);
    assert.match(html([{ x: 1 }, { x: "one" }]), /left">1<\/td>.*left">one<\/td>/);
  });

  it("may have a title, and two columns whose heads read alike", () => {
    assert.match(html([{ a: 1, "a ": 2 }], { title: "A < B" }), /<caption>A &lt; B<\/caption>.*>a<.*>a</);
  });

  it("name what cannot be shown", () => {
    const bad = (rows: unknown, message: RegExp) => assert.throws(() => table(rows as never), message);
    bad([], /rows must be an array of at least one object/);
    bad({ a: 1 }, /rows must be an array of at least one object/);
    bad([3], /rows\[0\] must be an object, got 3/);
    bad([{ a: 1 }, { b: 1 }], /rows\[1\] must have the columns of rows\[0\]: b is none of them/);
    bad([{ a: 1, b: 2 }, { a: 1 }], /rows\[1\] .*: b is missing/);
    bad([{ a: {} }], /rows\[0\]\.a must be a number or text/);
  });
});
