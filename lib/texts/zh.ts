// The library's own words in Chinese: what figures, checks, recipes and reports say by themselves. What chapters say stands
// in notebooks/zh/texts. Words that stay as they are have themselves as translation.
import type { Table } from "./texts.ts";

export const zh: Table = {
  // Figures
  "Figure: {x}": "图：{x}",
  "({n} of {n2}; the interactive chart shows all)": "（第 {n} 个，共 {n2} 个；交互图可查看全部）",
  "Bar chart": "条形图",
  "Line chart": "折线图",
  Histogram: "直方图",
  "Pareto front": "帕累托前沿",
  "Singular values and their cumulative energy": "奇异值及其累积能量",
  "from {n} at {n2} to {n3} at {n4}": "从 {n}（{n2} 处）到 {n3}（{n4} 处）",
  "rank {n} of {n2} holds {n3}% of the energy": "秩 {n}（共 {n2}）含 {n3}% 的能量",
  "Heat map of {n} × {n2} values from {n3} to {n4}": "{n} × {n2} 个值的热图，从 {n3} 到 {n4}",
  "Heat map of {n} × {n2} values from {n3} to {n4}, each cell the mean of {n5} × {n6}":
    "{n} × {n2} 个值的热图，从 {n3} 到 {n4}，每格是 {n5} × {n6} 个值的平均",
  "Scatter plot of {n} points": "{n} 个点的散点图",
  "Scatter plot of {n} points, {n2} of them on the {x}": "{n} 个点的散点图，其中 {n2} 个在{x}上",
  "{n} pictures of {n2} × {n3} pixels": "{n} 幅 {n2} × {n3} 像素的图像",
  "{n} pictures of {n2} × {n3} pixels: {l}": "{n} 幅 {n2} × {n3} 像素的图像：{l}",
  "{n} values, {n2}% exactly zero": "{n} 个值，其中 {n2}% 恰好为零",
  "A slider sets {s} from {x} to {x2}": "滑块把{s}从 {x} 调到 {x2}",
  "row %{y}, column %{x}: %{z}<extra></extra>": "第 %{y} 行，第 %{x} 列：%{z}<extra></extra>",
  "row %{y}, column %{x}: %{z}<extra>mean of {n}×{n2}</extra>":
    "第 %{y} 行，第 %{x} 列：%{z}<extra>{n}×{n2} 的平均</extra>",
  column: "列",
  row: "行",
  value: "值",
  kept: "保留",
  "share kept": "保留的比例",
  "share of values": "占比",
  "number of values": "个数",
  "singular value": "奇异值",
  "rank k": "秩 k",
  "energy held": "保留的能量",
  energy: "能量",
  "values (without {n}% zeros)": "值（不含 {n}% 的零）",
  "{s} (without {n}% zeros)": "{s}（不含 {n}% 的零）",

  // Recipes: techniques and options keep the names by which code calls them
  pruneWeights: "pruneWeights",
  pruneFilters: "pruneFilters",
  pruneNeurons: "pruneNeurons",
  pruneIteratively: "pruneIteratively",
  quantize: "quantize",
  cluster: "cluster",
  factorize: "factorize",
  fineTune: "fineTune",
  distill: "distill",
  original: "原网络",
  step: "步骤",
  technique: "技术",
  accuracy: "精度",
  loss: "损失",
  bytes: "字节数",
  "times smaller": "缩小倍数",
  zeros: "零的占比",
  seconds: "秒",
  note: "说明",
  "{s} → {l}": "{s} → {l}",
  "{x} (sparsity {n})": "{x}（稀疏度 {n}）",
  "{x} (clusters {n})": "{x}（{n} 个簇）",
  "{x} (epochs {n})": "{x}（{n} 轮）",
  "{x} (bits {n})": "{x}（{n} 比特）",
  "{n} layers": "{n} 层",
  "{n} layers by {s}": "{n} 层，按{s}",
  "{n} layers by masks": "{n} 层由掩码",
  "{n} layer by masks": "{n} 层由掩码",
  "{n} layers by cluster": "{n} 层由簇",
  "{n} layer by cluster": "{n} 层由簇",
  "{n} layers straight through their grid": "{n} 层由直通网格",
  "{n} layer straight through their grid": "{n} 层由直通网格",
  "activations quantized": "激活值已量化",
  "held: {l}": "保持：{l}",
  "taught by {l}": "由{l}教授",
  "taught by {s}; held: {l}": "由{s}教授；保持：{l}",
  masks: "掩码",
  magnitude: "幅值",

  // Checks
  "{x}: solved": "{x}：完成",
  "{x}: not yet": "{x}：尚未完成",
  "✓ {x}: solved": "✓ {x}：完成",
  "✗ {x}: not yet": "✗ {x}：尚未完成",
  "Read again: {s}": "重读：{s}",
  "✓ {s}": "✓ {s}",
  "✗ {s}": "✗ {s}",
  "✗ {s}: {s2}": "✗ {s}：{s2}",
  "{s} (got {x})": "{s}（得到的是 {x}）",
  "{s} should be {x} (within {n}), got {x2}": "{s}应为 {x}（误差不超过 {n}），得到的是 {x2}",
  "{s} should be {x} (within {n}) at index {n2}, got {x2}":
    "{s}在下标 {n2} 处应为 {x}（误差不超过 {n}），得到的是 {x2}",
  "{s} should be {x}, got {x2}": "{s}应为 {x}，得到的是 {x2}",
  "{s} should be {x} at index {n}, got {x2}": "{s}在下标 {n} 处应为 {x}，得到的是 {x2}",
  "{s} should be a number, got {x}": "{s}应是一个数，得到的是 {x}",
  "{s} should be an array, got {x}": "{s}应是一个数组，得到的是 {x}",
  "{s} should be an array of {n} numbers, got {x}": "{s}应是 {n} 个数的数组，得到的是 {x}",
  "{s} should have {n} elements, got {n2}": "{s}应有 {n} 个元素，得到的是 {n2} 个",
  "the value": "该值",

  // Data sets and networks that ship
  "T-shirt/top": "T 恤/上衣",
  Trouser: "裤子",
  Pullover: "套头衫",
  Dress: "连衣裙",
  Coat: "外套",
  Sandal: "凉鞋",
  Shirt: "衬衫",
  Sneaker: "运动鞋",
  Bag: "包",
  "Ankle boot": "短靴",
  "each image moved by up to {n} pixel in each direction, anew in each epoch":
    "每轮都把每张图像在各个方向上重新随机移动，最多 {n} 个像素",
  "each image moved by up to {n} pixels in each direction, anew in each epoch":
    "每轮都把每张图像在各个方向上重新随机移动，最多 {n} 个像素",

  "{n}, falling to 0 along half a cosine": "{n}，沿半个余弦降到 0",

  // autoQuantize
  "{s}; {s2}": "{s}；{s2}",
  "{n} bits would save {n2} bytes and diverge by {n3} instead of {n4}":
    "用 {n} 比特可省 {n2} 字节，散度变为 {n3}，现在是 {n4}",
  "the fewest bits on offer diverge by only {n}": "可选的最少比特数，散度也只有 {n}",
  "{n} bits would cost {n2} bytes to diverge by {n3}": "用 {n} 比特要多花 {n2} 字节，散度降到 {n3}",
  "• {s}": "• {s}",
  "why: {x} {s}": "原因：{x} {s}",
  "{n} allocations are on the front of bytes against divergence; the best within {n2} bytes was taken":
    "字节数与散度的前沿上有 {n} 种分配；取 {n2} 字节以内最好的一种",
  "{n} of {n2} allocations on the front were measured; the smallest with accuracy {n3} was taken":
    "前沿上的 {n2} 种分配测了 {n} 种；取精度不低于 {n3} 的最小一种",
  "activations calibrated on {n} images": "激活值在 {n} 张图像上校准",
  "trained through quantization on {n} images": "在 {n} 张图像上做了量化感知训练",
  "no neighbouring layers to equalize": "没有可均衡的相邻层",
  "equalized {x}: divergence {n} with it, {n2} without, at {n3} bits per tensor":
    "均衡了 {x}：逐张量 {n3} 比特时散度 {n}，不均衡为 {n2}",
  "equalization taken back: divergence {n} with it, {n2} without, at {n3} bits per tensor":
    "撤销均衡：逐张量 {n3} 比特时散度 {n}，不均衡为 {n2}",
  "per tensor": "逐张量",
  "per channel": "逐通道",
  nearest: "就近",
  gptq: "gptq",

  // The backend
  "backend: {x} (TensorFlow.js {x2}); npm run native installs the native one":
    "计算后端：{x}（TensorFlow.js {x2}）；npm run native 可安装原生后端",
  "backend: {x}": "计算后端：{x}",
};
