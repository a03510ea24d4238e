// What `slimlab convert` may be asked for.

export interface ConvertOptions {
  weights?: string;
  data?: string;
  images?: number;
  target?: string;
  /** Kernels of floats in a .tflite file without what is 0, where that takes less. */
  sparse?: boolean;
  /** Kernels of fewer weights stay floats where the others get 8 or 4 bits and activations stay floats, too. */
  keepFloatBelow?: number;
  /** How weights are rounded: a language model's, or those of a network that is to run in integers. */
  rounding?: string;
  /** A file with a text to calibrate on. */
  text?: string;
  /** Compress the matrices of an .onnx file where they stand. */
  inPlace?: boolean;
  /** Weights that share a scale, in place. */
  group?: number;
  /** How they are written in place. */
  layout?: string;
  /** Sizes that an .onnx file leaves open, by the input's name. */
  inputShapes?: Record<string, readonly number[]>;
}

/** How kernels of a network in integers are rounded. */
export const dataRoundings = ["calibrated", "nearest"] as const;
