// A helper thread of `integerMatmul`.
import { helperData } from "#platform";
import { help } from "./integer-matmul.ts";

help((helperData() as { memory: WebAssembly.Memory }).memory);
