import { costOf, paretoFront } from "slimlab/analysis";

const { parameters, macs } = costOf([
  { name: "image", kind: "input", outputShape: [28, 28, 1] },
  {
    name: "conv",
    kind: "conv2d",
    kernelShape: [5, 5, 1, 20],
    otherParameters: 20,
    outputShape: [24, 24, 20],
  },
]);
console.log(parameters, macs); // 520 288000

const tried = [
  { bytes: 400, accuracy: 0.98 },
  { bytes: 100, accuracy: 0.97 },
  { bytes: 200, accuracy: 0.9 },
];
const front = paretoFront(
  tried,
  ({ bytes }) => bytes,
  ({ accuracy }) => accuracy,
);
console.log(front.map(({ bytes }) => bytes).sort()); // [ 100, 400 ]
