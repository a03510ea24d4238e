// §4 Networks that a .slim file names by a number, counted from 1 in this order, instead of describing them: the ones that
// ship with slimlab. A number stands for its topology for good: new ones are added at the end.

/** The common fields of a layer's configuration, in the order in which TensorFlow.js writes them. */
const dense = (name: string, units: number, activation: string, first = {}) => ({
  class_name: "Dense",
  config: { units, activation, use_bias: true, name, trainable: true, ...first },
});

const convolution = (name: string, filters: number, first = {}) => ({
  class_name: "Conv2D",
  config: {
    filters,
    kernel_size: [5, 5],
    strides: [1, 1],
    padding: "valid",
    data_format: "channels_last",
    dilation_rate: [1, 1],
    activation: "relu",
    use_bias: true,
    name,
    trainable: true,
    ...first,
  },
});

const pool = (name: string) => ({
  class_name: "MaxPooling2D",
  config: {
    pool_size: [2, 2],
    padding: "valid",
    strides: [2, 2],
    data_format: "channels_last",
    name,
    trainable: true,
  },
});

const sequential = (name: string, layers: object[]) => ({
  class_name: "Sequential",
  config: { name, layers },
  keras_version: "tfjs-layers 4.22.0",
  backend: "tensor_flow.js",
});

/** The numbered networks: topology as TensorFlow.js writes it, and the tensors in their order. */
export const architectures: readonly {
  topology: object;
  tensors: readonly (readonly [name: string, shape: readonly number[]])[];
}[] = [
  {
    topology: sequential("lenet-300-100", [
      dense("fc1", 300, "relu", { batch_input_shape: [null, 784], dtype: "float32" }),
      dense("fc2", 100, "relu"),
      dense("fc3", 10, "softmax"),
    ]),
    tensors: [
      ["fc1/kernel", [784, 300]],
      ["fc1/bias", [300]],
      ["fc2/kernel", [300, 100]],
      ["fc2/bias", [100]],
      ["fc3/kernel", [100, 10]],
      ["fc3/bias", [10]],
    ],
  },
  {
    topology: sequential("lenet-5", [
      convolution("conv1", 20, { batch_input_shape: [null, 28, 28, 1], dtype: "float32" }),
      pool("pool1"),
      convolution("conv2", 50),
      pool("pool2"),
      { class_name: "Flatten", config: { name: "flatten", trainable: true } },
      dense("fc1", 500, "relu"),
      dense("fc2", 10, "softmax"),
    ]),
    tensors: [
      ["conv1/kernel", [5, 5, 1, 20]],
      ["conv1/bias", [20]],
      ["conv2/kernel", [5, 5, 20, 50]],
      ["conv2/bias", [50]],
      ["fc1/kernel", [800, 500]],
      ["fc1/bias", [500]],
      ["fc2/kernel", [500, 10]],
      ["fc2/bias", [10]],
    ],
  },
];
