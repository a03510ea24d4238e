import { costOf, dependenciesOf } from "slimlab/graph";
import { graphOf, loadPretrained } from "slimlab/nn";

const graph = graphOf(await loadPretrained("lenet-5"));
console.log(costOf(graph).parameters); // 431080
console.log(dependenciesOf(graph).groups.length); // 3
