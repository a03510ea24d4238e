import { encodeGraphAsTflite, importTflite } from "slimlab/formats";
import { graphOf, loadPretrained } from "slimlab/nn";

const model = await loadPretrained("lenet-300-100");
const file = encodeGraphAsTflite(graphOf(model), { weights: "float16" });
const { graph } = importTflite(file);
console.log(graph.nodes.map(({ kind }) => kind).join(" ")); // input dense dense dense activation
console.log(file.length < 4 * model.countParams()); // true
