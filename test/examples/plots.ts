import { bars, renderSvg } from "slimlab/plots";

const figure = bars({ before: 1_066_440, after: 4_529 }, { title: "235 times smaller", y: "bytes" });
console.log(typeof renderSvg, figure.constructor.name); // function Figure
