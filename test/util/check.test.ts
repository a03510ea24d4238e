import assert from "node:assert/strict";
import { runInNewContext } from "node:vm";
import {
  checkFinite,
  checkFloats,
  checkInteger,
  checkLength,
  checkNumber,
  checkOneOf,
} from "../../lib/util/check.ts";

describe("argument checks", () => {
  it("name the argument, what is allowed and what was given", () => {
    assert.throws(() => checkInteger("bits", 0, 1, 16), {
      name: "RangeError",
      message: "bits must be a whole number from 1 to 16, got 0",
    });
    assert.throws(
      () => checkNumber("sparsity", Number.NaN, 0, 1),
      /sparsity must be a number from 0 to 1, got NaN/,
    );
    assert.throws(
      () => checkOneOf("strategy", "best", ["global", "layer"]),
      /strategy must be one of "global", "layer", got "best"/,
    );
    assert.throws(() => checkLength("mask", new Uint8Array(3), 4), /mask must have 4 elements, got 3/);
  });

  it("tell a Float32Array from all else, also one from another realm", () => {
    assert.doesNotThrow(() => checkFloats("weights", new Float32Array(2)));
    assert.doesNotThrow(() => checkFloats("weights", runInNewContext("new Float32Array(2)")));
    assert.throws(
      () => checkFloats("weights", new Float64Array(2)),
      /weights must be a Float32Array, got Float64Array\(2\)/,
    );
    assert.throws(() => checkFloats("weights", [1, 2]), /weights must be a Float32Array, got Array\(2\)/);
    assert.throws(() => checkFloats("weights", undefined), /weights must be a Float32Array, got undefined/);
  });

  it("find the first value that is not finite", () => {
    assert.doesNotThrow(() => checkFinite("weights", new Float32Array([0, -0, 3e38])));
    assert.throws(
      () => checkFinite("weights", new Float32Array([1, Number.NEGATIVE_INFINITY, Number.NaN])),
      /weights must be finite, got -Infinity at index 1/,
    );
  });
});
