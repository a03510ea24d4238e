// ONNX operators that slide over images: convolutions, pooling, resizing.

import { samePads } from "../../util/window.ts";
import * as to from "../import/operators.ts";
import { permuted } from "../network.ts";
import { list } from "./constants.ts";
import type { OnnxNode } from "./model.ts";
import { type Flow, ints, nameOf, pairOf, type Reader } from "./reading.ts";

/** The padding of a convolution or pooling. */
function paddingOf(node: OnnxNode, shape: readonly number[], window: [number, number]): to.Padding {
  const { attributes } = node;
  const auto = String(attributes.auto_pad ?? "NOTSET");
  const strides = pairOf(attributes.strides, [1, 1]);
  const dilation = pairOf(attributes.dilations, [1, 1]);
  if (auto === "VALID") return "valid";
  if (auto === "SAME_UPPER") return "same";
  const same = [0, 1].map((i) => samePads(shape[i], window[i], strides[i], dilation[i]));
  if (auto === "SAME_LOWER") {
    const [high, wide] = same.map(([before, after]) => [after, before] as const);
    return { high, wide };
  }
  const [top, left, bottom, right] = ints(attributes.pads, [0, 0, 0, 0]);
  if (right === undefined) throw new RangeError("pads for images are expected: four numbers");
  const high: [number, number] = [top, bottom];
  const wide: [number, number] = [left, right];
  // Rounded up, as far as the last window begins inside.
  if (attributes.ceil_mode)
    for (const [i, pads] of [high, wide].entries()) {
      const rest = (shape[i] + pads[0] + pads[1] - window[i]) % strides[i];
      if (rest !== 0) pads[1] += strides[i] - rest;
    }
  return { high, wide };
}

export const conv: Reader = (node, file) => {
  const [x, kernel, bias] = node.inputs;
  const { shape, values } = file.floats(kernel);
  if (shape.length !== 4) throw new RangeError(`kernels of images are expected, got shape [${shape}]`);
  const input = file.image(x);
  const own = file.builder.shape(input);
  const group = Number(node.attributes.group ?? 1);
  const window: [number, number] = [shape[2], shape[3]];
  const settings = {
    strides: pairOf(node.attributes.strides, [1, 1]),
    dilation: pairOf(node.attributes.dilations, [1, 1]),
    padding: paddingOf(node, own, window),
  };
  const offset = bias ? file.floats(bias) : undefined;
  if (group === 1) {
    const turned = { shape: [...window, shape[1], shape[0]], values: permuted(values, shape, [2, 3, 1, 0]) };
    const tensor = to.convolution(file.builder, "conv2d", nameOf(node), input, turned, offset, settings);
    return { tensor, image: true };
  }
  if (group !== own[2] || shape[1] !== 1)
    throw new RangeError(`convolutions in ${group} groups are not supported`);
  const split = [group, shape[0] / group, ...window];
  const turned = {
    shape: [2, 3, 0, 1].map((axis) => split[axis]),
    values: permuted(values, split, [2, 3, 0, 1]),
  };
  const tensor = to.convolution(
    file.builder,
    "depthwiseConv2d",
    nameOf(node),
    input,
    turned,
    offset,
    settings,
  );
  return { tensor, image: true };
};

export const convTranspose: Reader = (node, file) => {
  const [x, kernel, bias] = node.inputs;
  const { attributes } = node;
  const { shape, values } = file.floats(kernel);
  const input = file.image(x);
  const own = file.builder.shape(input);
  if (shape.length !== 4) throw new RangeError(`kernels of images are expected, got shape [${shape}]`);
  if (Number(attributes.group ?? 1) !== 1)
    throw new RangeError("transposed convolutions in groups are not supported");
  if (ints(attributes.dilations, [1, 1]).some((n) => n !== 1))
    throw new RangeError("dilation is not supported");
  if (String(attributes.auto_pad ?? "NOTSET") !== "NOTSET" || attributes.output_shape)
    throw new RangeError("an output's shape that is given, or padded by itself, is not supported");
  const strides = pairOf(attributes.strides, [1, 1]);
  const [top, left, bottom, right] = ints(attributes.pads, [0, 0, 0, 0]);
  const extra = pairOf(attributes.output_padding, [0, 0]);
  const size = [top + bottom, left + right].map(
    (pads, i) => (own[i] - 1) * strides[i] + shape[2 + i] + extra[i] - pads,
  ) as [number, number];
  const turned = {
    shape: [2, 3, 1, 0].map((axis) => shape[axis]),
    values: permuted(values, shape, [2, 3, 1, 0]),
  };
  const settings = { strides, size, before: [top, left] as [number, number] };
  const offset = bias ? file.floats(bias) : undefined;
  return {
    tensor: to.transposedConvolution(file.builder, nameOf(node), input, turned, offset, settings),
    image: true,
  };
};

export const pool =
  (kind: "maxPooling2d" | "averagePooling2d"): Reader =>
  (node, file) => {
    if (node.outputs.length > 1 && node.outputs[1])
      throw new RangeError("the places of maxima are not supported");
    const x = file.image(node.inputs[0]);
    const window = pairOf(node.attributes.kernel_shape, [0, 0]);
    const settings = {
      strides: pairOf(node.attributes.strides, [1, 1]),
      dilation: pairOf(node.attributes.dilations, [1, 1]),
      padding: paddingOf(node, file.builder.shape(x), window),
      countPads: Number(node.attributes.count_include_pad ?? 0) === 1,
    };
    if (node.attributes.ceil_mode && settings.countPads)
      throw new RangeError("means over padding and sizes that are rounded up are not supported");
    return { tensor: to.pooling(file.builder, kind, nameOf(node), x, window, settings), image: true };
  };

export const resize: Reader = (node, file) => {
  const x = file.image(node.inputs[0]);
  const { attributes, inputs } = node;
  const shape = file.builder.shape(x);
  const old = node.op === "Upsample" || (node.op === "Resize" && file.opset < 11);
  const scales = old
    ? inputs[1]
      ? file.known(inputs[1])
      : list(ints(attributes.scales, []))
    : file.optional(inputs[2]);
  const sizes = old ? undefined : file.optional(inputs[3]);
  const factors = scales && scales.values.length > 0 ? [...scales.values] : undefined;
  if (attributes.axes || (factors ?? sizes?.values)?.length !== 4)
    throw new RangeError("sizes of four axes are expected");
  if (factors ? factors[0] !== 1 || factors[1] !== 1 : sizes!.values[1] !== shape[2])
    throw new RangeError("only images' places can be resized");
  const size = [0, 1].map((i) =>
    factors ? Math.floor(shape[i] * factors[i + 2]) : sizes!.values[i + 2],
  ) as [number, number];
  const mode = String(attributes.mode ?? "nearest");
  const transform = old ? "asymmetric" : String(attributes.coordinate_transformation_mode ?? "half_pixel");
  const nearest = String(attributes.nearest_mode ?? (old ? "floor" : "round_prefer_floor"));
  const whole = size.every((n, i) => n % shape[i] === 0);
  // Scales that do not lead to whole sizes are not the ratio of the sizes.
  if (
    factors &&
    transform !== "align_corners" &&
    size.some((n, i) => Math.abs(n - shape[i] * factors[i + 2]) > 1e-4)
  )
    throw new RangeError(`scales ${factors} of [${shape}] do not give whole sizes`);
  const settings = (
    interpolation: "nearest" | "bilinear",
    alignCorners: boolean,
    halfPixelCenters: boolean,
  ): Flow => ({
    tensor: to.resize(file.builder, nameOf(node), x, size, { interpolation, alignCorners, halfPixelCenters }),
    image: true,
  });
  if (mode === "nearest") {
    // Pixels that are repeated a whole number of times are so by several ways of counting.
    const repeats =
      (transform === "asymmetric" && nearest === "floor") ||
      (whole &&
        transform !== "align_corners" &&
        (transform === "half_pixel" ||
          transform === "tf_half_pixel_for_nn" ||
          transform === "pytorch_half_pixel"));
    if (repeats) return settings("nearest", false, false);
    throw new RangeError(`nearest pixels by ${transform} and ${nearest} are not supported`);
  }
  const known: Record<string, [boolean, boolean]> = {
    align_corners: [true, false],
    half_pixel: [false, true],
    pytorch_half_pixel: [false, true],
    asymmetric: [false, false],
  };
  if (mode !== "linear" || !known[transform])
    throw new RangeError(`resizing by ${mode} and ${transform} is not supported`);
  return settings("bilinear", ...known[transform]);
};
