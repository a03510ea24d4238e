import assert from "node:assert/strict";
import { availableBackends, cloneModel, tf, useBackend } from "slimlab/nn";
import { adamStepOnHost, FastAdam } from "../../lib/nn/kernels/adam.ts";

// Every kernel of ours against the JavaScript backend's, which is written from the definition, loop by loop.
type Output = { values: number[]; shape: number[] };

async function on(backend: "wasm" | "cpu", compute: () => tf.Tensor): Promise<Output> {
  await useBackend(backend);
  return tf.tidy(() => {
    const result = compute();
    return { values: [...result.dataSync()], shape: result.shape };
  });
}

async function same(compute: () => tf.Tensor, what: string): Promise<void> {
  const expected = await on("cpu", compute);
  const got = await on("wasm", compute);
  assert.deepEqual(got.shape, expected.shape, what);
  const scale = Math.max(1, ...expected.values.map(Math.abs));
  for (let i = 0; i < expected.values.length; i++)
    assert.ok(
      Math.abs(got.values[i] - expected.values[i]) <= 2e-6 * scale,
      `${what}: ${got.values[i]} is not ${expected.values[i]} at ${i}`,
    );
  assert.ok(
    expected.values.some((value) => value !== 0),
    `${what}: all zero proves nothing`,
  );
}

const random = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, "float32", seed);

interface Geometry {
  size: [number, number];
  filter: [number, number];
  strides: [number, number];
  pad: "valid" | "same";
}

function* geometries(): Generator<Geometry> {
  for (const size of [
    [7, 7],
    [8, 5],
    [5, 9],
  ] as [number, number][])
    for (const filter of [
      [1, 1],
      [3, 3],
      [2, 5],
    ] as [number, number][])
      for (const strides of [
        [1, 1],
        [2, 2],
        [1, 3],
        [4, 2],
      ] as [number, number][])
        for (const pad of ["valid", "same"] as const) yield { size, filter, strides, pad };
}

const name = ({ size, filter, strides, pad }: Geometry) =>
  `${size.join("x")} by ${filter.join("x")}, strides ${strides.join("x")}, ${pad}`;

describe("nn/kernels: what the WASM backend lacks, against the JavaScript backend", () => {
  after(async () => {
    await useBackend("wasm");
  });

  it("Conv2DBackpropFilter and Conv2DBackpropInput, over strides, padding and channels", async () => {
    for (const geometry of geometries()) {
      const { size, filter, strides, pad } = geometry;
      for (const [inC, outC] of [
        [1, 1],
        [3, 4],
      ]) {
        const gradients = (which: 0 | 1) => () => {
          const x = random([3, ...size, inC], 1) as tf.Tensor4D;
          const w = random([...filter, inC, outC], 2) as tf.Tensor4D;
          const dy = random(tf.conv2d(x, w, strides, pad).shape, 3);
          return tf.grads((a, b) => tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, strides, pad))([x, w], dy)[
            which
          ];
        };
        await same(gradients(0), `input, ${name(geometry)}, ${inC} to ${outC} channels`);
        await same(gradients(1), `filter, ${name(geometry)}, ${inC} to ${outC} channels`);
      }
    }
  });

  it("convolutions forwards, also where the stride is longer than the filter and something is left over", async () => {
    for (const [size, filter, stride] of [
      [9, [2, 2], 3],
      [12, [2, 2], 3],
      [11, [2, 2], 4],
      [12, [3, 3], 4],
      [10, [3, 3], 5],
      [12, [3, 1], 2],
      [9, [3, 3], 2],
      [8, [3, 5], 3],
    ] as [number, [number, number], number][]) {
      const x = () => random([2, size, size, 3], 1) as tf.Tensor4D;
      const what = `${size} by ${filter.join("x")}, stride ${stride}`;
      await same(() => tf.conv2d(x(), random([...filter, 3, 4], 2) as tf.Tensor4D, stride, "same"), what);
      await same(
        () =>
          tf.fused.conv2d({
            x: x(),
            filter: random([...filter, 3, 4], 2) as tf.Tensor4D,
            strides: stride,
            pad: "same",
            bias: random([4], 3) as tf.Tensor1D,
            activation: "relu",
          }),
        `fused, ${what}`,
      );
      await same(
        () => tf.depthwiseConv2d(x(), random([...filter, 3, 2], 2) as tf.Tensor4D, stride, "same"),
        `depthwise, ${what}`,
      );
    }
  });

  it("depthwise layers, with strides and padding, and with dilation, which their computation left out", async () => {
    for (const [settings, shape] of [
      [{ kernelSize: 3, strides: 2, padding: "same" }, [1, 4, 4, 4]],
      [{ kernelSize: 3, dilationRate: 2, activation: "relu" }, [1, 4, 4, 4]],
      [{ kernelSize: 3, dilationRate: [2, 1], padding: "same", useBias: false }, [1, 8, 8, 4]],
    ] as const) {
      const make = () => tf.layers.depthwiseConv2d({ depthMultiplier: 2, ...settings } as never);
      const compute = () => {
        const layer = make();
        const x = random([1, 8, 8, 2], 1);
        layer.build(x.shape);
        const weights = layer.weights.map((weight, i) => random(weight.shape as number[], i + 2));
        layer.setWeights(weights);
        return layer.apply(x) as tf.Tensor;
      };
      await same(compute, JSON.stringify(settings));
      assert.deepEqual((await on("wasm", compute)).shape, shape);
      assert.deepEqual(make().computeOutputShape([1, 8, 8, 2]), shape);
      // With channels first, the same in another order.
      const [, height, width, channels] = shape;
      const first = () => {
        const layer = tf.layers.depthwiseConv2d({
          depthMultiplier: 2,
          ...settings,
          dataFormat: "channelsFirst",
        } as never);
        const x = random([1, 8, 8, 2], 1).transpose([0, 3, 1, 2]);
        layer.build(x.shape);
        layer.setWeights(layer.weights.map((weight, i) => random(weight.shape as number[], i + 2)));
        assert.deepEqual(layer.computeOutputShape(x.shape), [1, channels, height, width]);
        return tf.transpose(layer.apply(x) as tf.Tensor, [0, 2, 3, 1]);
      };
      const [here, there] = [await on("wasm", first), await on("wasm", compute)];
      assert.deepEqual(here.shape, shape);
      for (const [i, value] of here.values.entries()) assert.ok(Math.abs(value - there.values[i]) < 1e-5);
      const { strides, padding, dilationRate } = {
        strides: 1,
        padding: "valid",
        dilationRate: 1,
        ...settings,
      };
      const expected = await on("cpu", () => {
        const x = random([1, 8, 8, 2], 1) as tf.Tensor4D;
        const kernel = random([3, 3, 2, 2], 2) as tf.Tensor4D;
        const sums = tf.depthwiseConv2d(
          x,
          kernel,
          strides,
          padding as "same" | "valid",
          "NHWC",
          dilationRate as number | [number, number],
        );
        const biased = "useBias" in settings ? sums : sums.add(random([4], 3));
        return "activation" in settings ? biased.relu() : biased;
      });
      const got = await on("wasm", compute);
      for (const [i, value] of expected.values.entries())
        assert.ok(Math.abs(got.values[i] - value) < 1e-5, `${got.values[i]} is not ${value} at ${i}`);
    }
  });

  it("volumes: max pooling, and the gradients of pooling and of convolutions", async () => {
    for (const [filter, strides] of [
      [
        [1, 2, 2],
        [1, 2, 2],
      ],
      [
        [2, 2, 2],
        [2, 2, 2],
      ],
      [
        [3, 3, 3],
        [2, 2, 2],
      ],
      [
        [1, 3, 3],
        [1, 1, 1],
      ],
    ] as [[number, number, number], [number, number, number]][])
      for (const pad of ["same", "valid"] as const) {
        const what = `${filter.join("x")}, strides ${strides.join("x")}, ${pad}`;
        const x = () => random([2, 4, 5, 6, 3], 1) as tf.Tensor5D;
        const w = () => random([...filter, 3, 2], 2) as tf.Tensor5D;
        const pool = (at: tf.Tensor) => tf.maxPool3d(at as tf.Tensor5D, filter, strides, pad);
        const conv = (a: tf.Tensor, b: tf.Tensor) =>
          tf.conv3d(a as tf.Tensor5D, b as tf.Tensor5D, strides, pad);
        await same(() => pool(x()), `max pooling, ${what}`);
        await same(
          () => tf.grad((at) => tf.mul(pool(at), random(pool(x()).shape, 3)))(x()),
          `its gradient, ${what}`,
        );
        for (const which of [0, 1])
          await same(
            () => tf.grads((a, b) => tf.mul(conv(a, b), random(conv(x(), w()).shape, 4)))([x(), w()])[which],
            `convolution, gradient ${which}, ${what}`,
          );
      }
  });

  it("average pooling and maxima of volumes: gradients are what the forward pass does, beyond the edge too, on every backend", async () => {
    const backends = await availableBackends();
    assert.ok(backends.includes("wasm") && backends.includes("cpu"));
    const windows: [shape: number[], size: number[], strides: number[]][] = [
      [
        [2, 8, 1, 3],
        [4, 1],
        [1, 1],
      ],
      [
        [2, 2, 5, 2],
        [2, 3],
        [2, 3],
      ],
      [
        [1, 7, 6, 3],
        [3, 3],
        [2, 2],
      ],
      [
        [1, 3, 2, 2],
        [5, 4],
        [1, 2],
      ],
      [
        [1, 4, 4, 1],
        [2, 2],
        [2, 2],
      ],
      [
        [1, 2, 1, 3, 1],
        [1, 5, 2],
        [2, 2, 1],
      ],
      [
        [1, 7, 1, 3, 2],
        [3, 5, 2],
        [3, 3, 1],
      ],
      [
        [1, 3, 4, 5, 2],
        [2, 3, 3],
        [1, 2, 2],
      ],
    ];
    for (const backend of backends) {
      await useBackend(backend);
      for (const [shape, size, strides] of windows)
        for (const pad of ["same", "valid"] as const)
          for (const type of ["avg", "max"] as const) {
            if (pad === "valid" && size.some((length, i) => length > shape[i + 1])) continue;
            const name = `${type}Pool${shape.length === 5 ? "3d" : ""}` as "avgPool3d";
            const pooled = (x: tf.Tensor) =>
              tf[name](x as tf.Tensor5D, size as [number, number, number], strides as never, pad);
            tf.tidy(() => {
              // All far apart, so that a small step changes no maximum.
              const count = shape.reduce((a, b) => a * b);
              const values = Float32Array.from({ length: count }, (_, i) => ((i * 37) % 101) / 8);
              const x = tf.tensor(values, shape);
              const dy = random(pooled(x).shape, 2);
              const dx = tf
                .grad((at) => tf.mul(pooled(at), dy))(x)
                .dataSync();
              for (let i = 0; i < count; i++) {
                const [above, below] = [1, -1].map((sign) => {
                  const moved = Float32Array.from(values, (value, j) => value + (i === j ? sign / 32 : 0));
                  return pooled(tf.tensor(moved, shape));
                });
                const exact = 16 * tf.sum(tf.mul(tf.sub(above, below), dy)).dataSync()[0];
                assert.ok(
                  Math.abs(dx[i] - exact) < 1e-4,
                  `${backend}, ${name}, ${shape}, ${size} by ${strides}, ${pad}: ${dx[i]} and ${exact} at ${i}`,
                );
              }
            });
          }
    }
  });

  it("resizing: a gradient is the transpose of what the forward pass does, on both backends", async () => {
    for (const backend of ["cpu", "wasm"] as const) {
      await useBackend(backend);
      for (const method of ["resizeNearestNeighbor", "resizeBilinear"] as const)
        for (const [from, to] of [
          [
            [3, 4],
            [6, 8],
          ],
          [
            [5, 3],
            [7, 9],
          ],
          [
            [6, 6],
            [3, 3],
          ],
          [
            [6, 6],
            [4, 5],
          ],
        ] as [[number, number], [number, number]][])
          for (const [alignCorners, halfPixels] of [
            [false, false],
            [true, false],
            [false, true],
          ]) {
            // TensorFlow.js has no gradient of bilinear resizing with half-pixel centres on any backend.
            if (method === "resizeBilinear" && halfPixels) continue;
            tf.tidy(() => {
              const forward = (x: tf.Tensor) =>
                tf.image[method](x as tf.Tensor4D, to, alignCorners, halfPixels);
              const dy = random([1, ...to, 2], 2);
              const dx = tf
                .grad((x) => tf.mul(forward(x), dy))(random([1, ...from, 2], 1))
                .dataSync();
              // Each number of the input on its own: <dy, A e> = (A^T dy) at e.
              for (let i = 0; i < dx.length; i += 3) {
                const unit = tf
                  .oneHot(tf.scalar(i, "int32"), dx.length)
                  .toFloat()
                  .reshape([1, ...from, 2]);
                const exact = tf.sum(tf.mul(forward(unit), dy)).dataSync()[0];
                assert.ok(
                  Math.abs(dx[i] - exact) < 1e-5,
                  `${backend}, ${method}, ${from} to ${to}, ${alignCorners}, ${halfPixels}: ${dx[i]} and ${exact} at ${i}`,
                );
              }
            });
          }
    }
  });

  it("the resizing layer resizes, and a depthwise layer keeps its constraint and its regularizer when it is copied", async () => {
    for (const backend of ["cpu", "wasm"] as const) {
      await useBackend(backend);
      const resizing = tf.sequential({
        layers: [
          tf.layers.resizing({ height: 5, width: 2, interpolation: "nearest", inputShape: [3, 4, 2] }),
        ],
      });
      const x = random([2, 3, 4, 2], 1) as tf.Tensor4D;
      assert.deepEqual(
        (resizing.predict(x) as tf.Tensor).arraySync(),
        tf.image.resizeNearestNeighbor(x, [5, 2], true).arraySync(),
      );
      resizing.dispose();
    }
    for (const [settings, constraint] of [
      [{ depthwiseRegularizer: tf.regularizers.l2({ l2: 0.1 }) }, null],
      [{ depthwiseConstraint: tf.constraints.nonNeg() }, "NonNeg"],
    ] as const) {
      const model = tf.sequential({
        layers: [tf.layers.depthwiseConv2d({ kernelSize: 2, inputShape: [4, 4, 2], ...settings })],
      });
      model.setWeights(model.getWeights().map((weight) => weight.abs()));
      const copy = cloneModel(model);
      const config = copy.layers[0].getConfig();
      assert.equal(
        (config.depthwiseConstraint as { className?: string } | null)?.className ?? null,
        constraint,
      );
      assert.deepEqual(config, { ...model.layers[0].getConfig() });
      const x = random([1, 4, 4, 2], 1);
      assert.deepEqual(
        (copy.predict(x) as tf.Tensor).arraySync(),
        (model.predict(x) as tf.Tensor).arraySync(),
      );
    }
  });

  it("explicit padding", async () => {
    const pad = [
      [0, 0],
      [2, 1],
      [0, 3],
      [0, 0],
    ] as tf.backend_util.ExplicitPadding;
    for (const which of [0, 1])
      await same(() => {
        const x = random([2, 6, 7, 2], 1) as tf.Tensor4D;
        const w = random([3, 4, 2, 3], 2) as tf.Tensor4D;
        const dy = random(tf.conv2d(x, w, 1, pad).shape, 3);
        return tf.grads((a, b) => tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, 1, pad))([x, w], dy)[which];
      }, `gradient ${which}`);
  });

  it("a batch so large that it is worked off in parts", async () => {
    for (const which of [0, 1])
      await same(() => {
        const x = random([40, 14, 14, 4], 1) as tf.Tensor4D;
        const w = random([5, 5, 4, 2], 2) as tf.Tensor4D;
        const dy = random([40, 10, 10, 2], 3);
        const conv = (a: tf.Tensor, b: tf.Tensor) =>
          tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, 1, "valid");
        return tf.grads(conv)([x, w], dy)[which];
      }, `gradient ${which}`);
  });

  it("DepthwiseConv2dNativeBackpropFilter and -Input, with channel multipliers", async () => {
    for (const geometry of geometries()) {
      const { size, filter, strides, pad } = geometry;
      // TensorFlow.js wants equal strides in both directions for depthwise convolution.
      if (strides[0] !== strides[1]) continue;
      for (const [channels, multiplier] of [
        [1, 1],
        [3, 1],
        [2, 3],
      ]) {
        for (const which of [0, 1]) {
          await same(
            () => {
              const x = random([2, ...size, channels], 1) as tf.Tensor4D;
              const w = random([...filter, channels, multiplier], 2) as tf.Tensor4D;
              const conv = (a: tf.Tensor, b: tf.Tensor) =>
                tf.depthwiseConv2d(a as tf.Tensor4D, b as tf.Tensor4D, strides, pad);
              return tf.grads(conv)([x, w], random(conv(x, w).shape, 3))[which];
            },
            `gradient ${which}, ${name(geometry)}, ${channels} channels times ${multiplier}`,
          );
        }
      }
    }
  });

  it("BatchMatMul: transposed, batched, small and large", async () => {
    for (const [batch, m, k, n] of [
      [1, 2, 3, 4],
      [1, 33, 47, 21],
      [3, 19, 30, 17],
      [2, 64, 5, 100],
    ])
      for (const [ta, tb] of [
        [false, false],
        [true, false],
        [false, true],
        [true, true],
      ])
        await same(() => {
          const a = random(ta ? [batch, k, m] : [batch, m, k], 1);
          const b = random(tb ? [batch, n, k] : [batch, k, n], 2);
          return tf.matMul(a, b, ta, tb);
        }, `${batch} x ${m} x ${k} x ${n}, transposed ${ta} ${tb}`);
  });

  it("BatchMatMul broadcasts a batch as before", async () => {
    await same(() => tf.matMul(random([1, 20, 30], 1), random([4, 25, 30], 2), false, true), "1 against 4");
  });

  it("MaxPoolGrad, with ties and overlapping windows", async () => {
    for (const geometry of geometries()) {
      const { size, filter, strides, pad } = geometry;
      await same(() => {
        // Whole numbers from -2 to 2: nearly every window has ties.
        const x = tf.round(random([2, ...size, 3], 1)) as tf.Tensor4D;
        const pool = (a: tf.Tensor) => tf.maxPool(a as tf.Tensor4D, filter, strides, pad);
        return tf.grad(pool)(x, random(pool(x).shape, 2));
      }, name(geometry));
    }
  });

  it("UnsortedSegmentSum, the gradient of gather", async () => {
    await same(() => {
      const ids = tf.tensor2d(
        [
          [0, 2, 2],
          [5, 0, 2],
        ],
        [2, 3],
        "int32",
      );
      return tf.grad((codebook) => tf.gather(codebook, ids))(random([6, 4], 1), random([2, 3, 4], 2));
    }, "rows");
    await same(
      () => tf.unsortedSegmentSum(random([5], 1) as tf.Tensor1D, tf.tensor1d([1, 0, 1, 1, 3], "int32"), 4),
      "scalars",
    );
  });

  it("AdamStep: TensorFlow.js's Adam, bit for bit, for any number of weights", async () => {
    await useBackend("wasm");
    const before = tf.memory().numTensors;
    const sizes = [1, 3, 4, 10, 37];
    const trained = [tf.train.adam(0.01) as tf.Optimizer, new FastAdam(0.01)].map((optimizer, which) => {
      const names = sizes.map((size) => `adam${which}/${size}`);
      const variables = sizes.map((size, i) =>
        tf.tidy(() => tf.variable(random([size], size), true, names[i])),
      );
      for (let step = 1; step <= 20; step++) {
        if (step === 11) (optimizer as FastAdam).learningRate = 0.002;
        tf.tidy(() =>
          optimizer.applyGradients(Object.fromEntries(names.map((n, i) => [n, random([sizes[i]], step)]))),
        );
      }
      const values = variables.map((variable) => [...variable.dataSync()]);
      tf.dispose(variables);
      optimizer.dispose();
      return values;
    });
    assert.deepEqual(trained[1], trained[0]);
    for (const [i, size] of sizes.entries()) {
      const start = random([size], size);
      assert.notDeepEqual(trained[0][i], [...start.dataSync()]);
      start.dispose();
    }
    assert.equal(tf.memory().numTensors, before);
  });

  it("AdamStep on the native backend's host: TensorFlow.js's Adam but for rounding, what a mask has pruned aside", async () => {
    await useBackend("wasm");
    const count = 50;
    const start = random([count], 1);
    const variable = tf.variable(start, true, "adam/host");
    const adam = tf.train.adam(0.01);
    const arrays = new Map<object, Float32Array>();
    const keep = (values: Float32Array) => {
      const dataId = {};
      arrays.set(dataId, values);
      return { dataId, shape: [count], dtype: "float32" as const };
    };
    // What the native backend does with arrays that no operation has read yet.
    const backend = {
      readSync: (id: object) => arrays.get(id)!,
      write: (values: Float32Array) => keep(values).dataId,
    };
    let value: tf.TensorInfo = keep(start.dataSync().slice() as Float32Array);
    const [first, second] = [keep(new Float32Array(count)), keep(new Float32Array(count))];
    const attrs = { learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: tf.backend().epsilon() };
    for (let step = 1; step <= 20; step++) {
      const gradient = random([count], 10 + step);
      const slopes = gradient.dataSync().slice() as Float32Array;
      slopes[7] = 0;
      const masked = tf.tensor1d(slopes);
      adam.applyGradients({ "adam/host": masked } as never);
      value = adamStepOnHost({
        inputs: { value, gradient: keep(slopes), first, second },
        backend,
        attrs: { ...attrs, power1: 0.9 ** step, power2: 0.999 ** step },
      });
      tf.dispose([gradient, masked]);
    }
    const [ours, theirs] = [arrays.get(value.dataId)!, variable.dataSync()];
    // TensorFlow.js keeps 1 − 0.999^t in single precision: a step of 0.01 is off by up to 3e-7.
    for (let i = 0; i < count; i++)
      assert.ok(Math.abs(ours[i] - theirs[i]) < 20 * 3e-7, `${ours[i]} and ${theirs[i]} at ${i}`);
    assert.equal(ours[7], start.dataSync()[7], "no gradient ever: as it was");
    assert.notEqual(ours[8], start.dataSync()[8]);
    adam.dispose();
    variable.dispose();
    start.dispose();
  });

  it("leaves no tensor behind", async () => {
    await useBackend("wasm");
    const step = () =>
      tf.tidy(() => {
        const x = random([8, 10, 10, 3], 1) as tf.Tensor4D;
        const w = random([3, 3, 3, 6], 2) as tf.Tensor4D;
        const d = random([3, 3, 6, 1], 3) as tf.Tensor4D;
        const net = (a: tf.Tensor, b: tf.Tensor, c: tf.Tensor) =>
          tf.maxPool(
            tf.depthwiseConv2d(
              tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, 1, "same"),
              c as tf.Tensor4D,
              1,
              "same",
            ),
            2,
            2,
            "valid",
          );
        tf.grads(net)([x, w, d]);
        tf.grad((a) => tf.matMul(a, random([40, 50], 4)))(random([30, 40], 5));
      });
    step();
    const tensors = tf.memory().numTensors;
    const data = (tf.backend() as unknown as { numDataIds(): number }).numDataIds();
    for (let i = 0; i < 5; i++) step();
    assert.equal(tf.memory().numTensors, tensors);
    assert.equal((tf.backend() as unknown as { numDataIds(): number }).numDataIds(), data);
  });
});
