// Files of the machine, for code that runs on Node only; what must run in a browser, too, imports from #platform.
export { packageRoot, writeFileAtomic } from "../platform/node.ts";
