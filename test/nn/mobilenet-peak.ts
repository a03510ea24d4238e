// Run as a process of its own by mobilenet.test.ts, whose memory nothing else has part in: predicts and
// calibrates with the batches that are chosen by default, and writes the peak in bytes.
import { calibrateActivations, firstOf, loadModel, predict } from "../../lib/nn/index.ts";
import { mobilenetFolder, pictures } from "./mobilenet.ts";

const model = await loadModel((await mobilenetFolder())!);
const { held } = (await pictures())!;
// More than one batch of each.
const some = firstOf(held, 12);
await predict(model, some);
await calibrateActivations(model, some);
// Kilobytes everywhere, says Node.
console.log(process.resourceUsage().maxRSS * 1024);
