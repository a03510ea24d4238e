// slimlab/classroom, as cells import it: exercises that check themselves. (The runner and the book are commands.)
export {
  type CheckCase,
  type CheckOptions,
  CheckResult,
  check,
  checkMime,
  expectClose,
  expectEqual,
  type Test,
} from "./check.ts";
