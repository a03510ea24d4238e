// What the report of `slimlab compress` says, in both languages of the book.
import type { Language } from "../../notebook/notebook.ts";

const percent = (share: number, digits = 1) => `${(100 * share).toFixed(digits)} %`;
const short = (value: number) => String(Number(value.toPrecision(3)));
/** Bytes as people say them. */
export const size = (bytes: number): string =>
  bytes >= 1e6
    ? `${(bytes / 1e6).toFixed(2)} MB`
    : bytes >= 1e3
      ? `${(bytes / 1e3).toFixed(1)} KB`
      : `${bytes} B`;

/** Numbers that sentences are made of. */
export interface Facts {
  name: string;
  label: string;
  from: number;
  to: number;
  labelled: boolean;
  /** What is called accuracy, where it is not the share of right classes. */
  measure?: string;
  /** Accuracy before and after, or agreement. */
  before: number;
  after: number;
  agreement: number;
  divergence: number;
  images: number;
  /** Whether no decision has seen these images. */
  fair: boolean;
}

const en = {
  title: (name: string) => `${name}, compressed`,
  summary: (facts: Facts) => {
    const { label, from, to, labelled, measure, before, after, agreement, divergence, images, fair } = facts;
    const where = `${images} images ${fair ? "that no decision has seen" : "that the choice was made by"}`;
    const before_ = `${percent(before)} before`;
    return (
      `**${size(from)} became ${size(to)}, ${short(from / to)} times less**, by ${label}. ` +
      (!labelled
        ? `There are no labels: on ${where} it ${measure ? "agrees with the original to" : "names the original's class for"} ${percent(agreement)}${measure ? ` (${measure})` : ""}.`
        : measure
          ? `On ${where} ${measure} is ${percent(after)}, ${before_}.`
          : `On ${where} ${percent(after)} are right, ${before_}.`) +
      ` Its ${measure ? "outputs" : "probabilities"} diverge from the original's by ${short(divergence)} nats an image.`
    );
  },
  notMet: {
    budget: (bytes: number, reached: number) =>
      `**The budget of ${size(bytes)} is not met**: the smallest that was made has ${size(reached)}.`,
    drop: (share: number, reached: number) =>
      `**A loss of at most ${percent(share)} is not met**: the best that was made loses ${percent(reached)}.`,
  },
  front: "Size against error",
  frontText: (count: number, failed: number, quick: boolean) =>
    `${count} recipes were tried.${quick ? " Sizes with ≤ are those of a quick coder: as the final file they would be somewhat smaller, but too large or too far from the original to be chosen." : ""} Those on the dashed line are beaten by no other in both size and divergence.${failed > 0 ? ` ${failed} could not be carried out with this network; the table says why.` : ""}`,
  frontFigure: "Smaller to the left, nearer to the original below",
  bytes: "bytes",
  divergence: "divergence",
  nats: "nats an image",
  tried: "tried",
  chosen: "chosen",
  recipe: "recipe",
  accuracy: (labelled: boolean, measure?: string): string =>
    labelled ? (measure ?? "accuracy") : "agreement",
  agreement: "agreement",
  layers: "Layer by layer",
  layersText:
    "Bytes are those of the .slim file. SQNR compares what the layer gives out with what it gave before, in decibels: 20 dB are an error of a tenth, 40 dB of a hundredth. Where automatic quantization has given channels another scale (equalization), that is undone before; what the network gives out is compared before its softmax.",
  layer: "layer",
  weights: "weights",
  kept: "kept",
  form: "form",
  sqnr: "SQNR, dB",
  why: "why",
  formBits: (bits: number) => `${bits} bits`,
  formClusters: (count: number) => `${count} clusters`,
  formFloat: "floats",
  whyPruned: (kept: number) => `${percent(kept)} of its weights lie above the threshold`,
  whyAlike: "as the recipe says, alike for all layers",
  whyFloat: "the recipe leaves it as it was",
  whySmall: (limit: number) =>
    `fewer than ${limit.toLocaleString("en")} weights: floats cost little here, rounding much`,
  whyRow: (why: string) => why,
  error: "Where the error arises",
  errorText:
    "In the order in which the layers run. A fall says that the layer adds error of its own; a level line only hands on what came before.",
  errorFigure: (worst: string, db: number) => `The outputs of ${worst} differ most, at ${db.toFixed(1)} dB`,
  parts: "Where the bytes are",
  partsFigure: (largest: string, share: number) => `${largest} takes ${percent(share, 0)} of the .slim file`,
  header: "header and checksum",
  others: (count: number) => `${count} others`,
  files: "Files, run by their engines",
  file: "file",
  engine: "engine",
  difference: "largest difference from our simulation",
  notes: "notes",
  notRun: "not run",
  latency: "Time for one image",
  before: "original",
  after: "compressed",
  latencyText:
    "On this machine, one image at a time, in turns; the median and what nine of ten runs stay within.",
  runBy: "run by",
  median: "median, ms",
  p90: "90 %, ms",
  memory: "memory of weights",
  recommendation: "Recommendation",
  take: (label: string, to: number) => `Take **${label}**: ${size(to)}.`,
  next: (label: string, more: number, divergence: number) =>
    `For ${size(more)} more, *${label}* would diverge by ${short(divergence)} nats.`,
  fewImages: (count: number, chance: number) =>
    `Only ${count} images decided: differences in accuracy below ${percent(chance)} are chance. More images tell more, also without labels.`,
  noTraining:
    "Nothing was trained: there were too few images, or --epochs 0. With some thousands of images, pruned weights can be repaired, and much smaller files are within reach.",
  folded: (count: number) =>
    `${count} batch normalisations were folded into the layers before them; that changes nothing in what the network computes.`,
  moreLost: (lost: number, asked: number) =>
    `On images that no decision has seen it loses ${percent(lost)}, more than the ${percent(asked)} asked for: so few images cannot promise that. Ask for less, or give more images.`,
  tryFloor: "If that is still too much lost, ask by --max-drop instead of --budget: the bytes then follow.",
  repeat: "To repeat it",
  repeatText: "The recipe, which --recipe takes:",
  reproduce: (data: string) => `Made from ${data}, with seed and versions as in report.json.`,
  seconds: "seconds",
};

/** Chinese for what auto-quantization says of a layer. */
function reasonZh(why: string): string {
  return why
    .split("; ")
    .map((part) =>
      part
        .replace(
          /^(\d+) bits would save (-?\d+) bytes and diverge by (\S+) instead of (\S+)$/,
          "改用 $1 位可省 $2 字节，但散度为 $3，而非 $4",
        )
        .replace(
          /^(\d+) bits would cost (-?\d+) bytes to diverge by (\S+)$/,
          "改用 $1 位要多花 $2 字节，散度降为 $3",
        )
        .replace(/^the fewest bits on offer diverge by only (\S+)$/, "可选的最少位数，散度也只有 $1"),
    )
    .join("；");
}

const measureZh = (measure: string) =>
  measure
    .replace(/^mean of (.*)$/, "$1的平均")
    .replaceAll("accuracy", "正确率")
    .replace(" and ", "与");

const zh: typeof en = {
  title: (name) => `${name} 的压缩报告`,
  summary: ({ label, from, to, labelled, measure, before, after, agreement, divergence, images, fair }) =>
    `**由 ${size(from)} 降到 ${size(to)}，缩小到 1/${short(from / to)}**，方法是 ${label}。` +
    (labelled
      ? `在${fair ? "未参与任何决策的" : "用于挑选方案的"} ${images} 张图像上，${measure ? measureZh(measure) : "正确率"}为 ${percent(after)}，压缩前为 ${percent(before)}。`
      : `数据没有标签：在${fair ? "未参与任何决策的" : "用于挑选方案的"} ${images} 张图像上，${measure ? `与原网络的一致程度为 ${percent(agreement)}（${measureZh(measure)}）` : `有 ${percent(agreement)} 与原网络判为同一类`}。`) +
    `输出${measure ? "" : "概率"}与原网络的散度为每张图像 ${short(divergence)} nat。`,
  notMet: {
    budget: (bytes, reached) => `**没有达到 ${size(bytes)} 的预算**：得到的最小文件为 ${size(reached)}。`,
    drop: (share, reached) =>
      `**没能把损失控制在 ${percent(share)} 以内**：最好的方案损失了 ${percent(reached)}。`,
  },
  front: "大小与误差",
  frontText: (count, failed, quick) =>
    `共尝试了 ${count} 个方案。${quick ? "带 ≤ 的大小由快速编码得到：写成最终文件会略小一些，但仍然太大，或离原网络太远，不会被选中。" : ""}虚线上的方案，没有别的方案能在大小和散度两方面同时胜过。${failed > 0 ? `其中 ${failed} 个不适用于这个网络，原因见表。` : ""}`,
  frontFigure: "越靠左越小，越靠下越接近原网络",
  bytes: "字节",
  divergence: "散度",
  nats: "nat/图像",
  tried: "尝试过",
  chosen: "选中",
  recipe: "方案",
  accuracy: (labelled, measure) => (labelled ? (measure ? measureZh(measure) : "正确率") : "一致率"),
  agreement: "一致率",
  layers: "逐层情况",
  layersText:
    "字节数指 .slim 文件中的字节。SQNR 把该层现在的输出与压缩前相比，以分贝计：20 dB 相当于十分之一的误差，40 dB 相当于百分之一。自动量化改变过通道尺度（均衡）的，先还原再比较；网络的输出取 softmax 之前的值。",
  layer: "层",
  weights: "权重数",
  kept: "保留",
  form: "形式",
  sqnr: "SQNR (dB)",
  why: "理由",
  formBits: (bits) => `${bits} 位`,
  formClusters: (count) => `${count} 个聚类`,
  formFloat: "浮点",
  whyPruned: (kept) => `有 ${percent(kept)} 的权重高于阈值`,
  whyAlike: "按方案，各层相同",
  whyFloat: "方案未改动此层",
  whySmall: (limit) => `权重不足 ${limit.toLocaleString("en")} 个：用浮点多占不了多少字节，取整却代价不小`,
  whyRow: reasonZh,
  error: "误差从哪里来",
  errorText: "按各层运行的先后排列。数值下降，说明该层自身增加了误差；持平，则只是传递了前面的误差。",
  errorFigure: (worst, db) => `${worst} 的输出偏差最大，为 ${db.toFixed(1)} dB`,
  parts: "字节用在哪里",
  partsFigure: (largest, share) => `${largest} 占 .slim 文件的 ${percent(share, 0)}`,
  header: "文件头与校验和",
  others: (count) => `其余 ${count} 项`,
  files: "各引擎实际运行的文件",
  file: "文件",
  engine: "引擎",
  difference: "与自身模拟的最大差",
  notes: "说明",
  notRun: "未运行",
  latency: "单张图像的用时",
  before: "原网络",
  after: "压缩后",
  latencyText: "在本机上每次一张图像，轮流测量；给出中位数，以及九成运行不超过的时间。",
  runBy: "运行方式",
  median: "中位数 (ms)",
  p90: "90% (ms)",
  memory: "权重占用内存",
  recommendation: "建议",
  take: (label, to) => `采用 **${label}**：${size(to)}。`,
  next: (label, more, divergence) =>
    `再多用 ${size(more)}，*${label}* 可把散度降到 ${short(divergence)} nat。`,
  fewImages: (count, chance) =>
    `只有 ${count} 张图像参与决策：正确率之差小于 ${percent(chance)} 只是偶然。图像越多结论越可靠，没有标签也行。`,
  noTraining: "没有进行训练：图像太少，或指定了 --epochs 0。若有几千张图像，剪枝后可以修复，文件还能小得多。",
  folded: (count) => `有 ${count} 个批归一化层并入了前一层；网络的计算结果不变。`,
  moreLost: (lost, asked) =>
    `在未参与任何决策的图像上损失了 ${percent(lost)}，超过要求的 ${percent(asked)}：图像这么少，保证不了这样的精度。请把要求放严，或提供更多图像。`,
  tryFloor: "若损失仍嫌太大，可改用 --max-drop 代替 --budget，由它来决定字节数。",
  repeat: "如何重复",
  repeatText: "可交给 --recipe 的方案：",
  reproduce: (data) => `数据来自 ${data}；随机种子与版本见 report.json。`,
  seconds: "用时 (s)",
};

/** What samples are called that are no pictures. */
const asSamples: Record<Language, (text: string) => string> = {
  en: (text) => text.replaceAll("an image", "a sample").replaceAll("image", "sample"),
  zh: (text) => text.replaceAll("张图像", "个样本").replaceAll("图像", "样本"),
};

type Entry = string | ((...args: never[]) => string);

/** The words of a report; `pictures`: whether the samples are. */
export function wordsOf(language: Language, pictures: boolean): typeof en {
  const words = { en, zh }[language];
  if (pictures) return words;
  const change = asSamples[language];
  const changed = (entry: Entry): Entry =>
    typeof entry === "string" ? change(entry) : (...args) => change(entry(...args));
  return Object.fromEntries(
    Object.entries(words).map(([name, entry]) => [
      name,
      typeof entry === "object"
        ? Object.fromEntries(Object.entries(entry).map(([key, one]) => [key, changed(one as Entry)]))
        : changed(entry as Entry),
    ]),
  ) as typeof en;
}
