// slimlab/lm: language models: read, run, quantized, measured (§4.4).
export * from "./find.ts";
export * from "./forward.ts";
export * from "./llama.ts";
export * from "./onnx.ts";
export * from "./perplexity.ts";
export * from "./quantize.ts";
export * from "./save.ts";
export * from "./small.ts";
export * from "./tokenizer.ts";
