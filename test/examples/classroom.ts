import { check, expectClose } from "slimlab/classroom";

const half = (x: number) => x / 2;
const result = check("Exercise 1", { "half of 3": () => expectClose(half(3), 1.5) });
console.log("passed" in result && result.passed); // true
