// §3.4: knowledge distillation.
export {
  type DistillOptions,
  distill,
  type Hint,
  selfDistill,
  type TabulateOptions,
  type TeacherTable,
  tabulateTeachers,
} from "./distill.ts";
export { combineTeachers, type DistillationLoss, distillationLoss, softmaxAt } from "./loss.ts";
