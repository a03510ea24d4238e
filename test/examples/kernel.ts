import { startKernel } from "slimlab/kernel";

const kernel = await startKernel();
const { status } = await kernel.execute("const answer: number = 6 * 7");
console.log(status); // ok
await kernel.shutdown();
