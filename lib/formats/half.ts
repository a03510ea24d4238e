// The floats of 16 bits, for the formats that have them.
export * from "../util/half.ts";
