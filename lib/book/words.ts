// The book's own words, in its two languages.
import type { Language } from "../notebook/notebook.ts";
import { ownTexts } from "../texts/index.ts";

/** What the pages say around the chapters. */
export const words = {
  en: {
    lang: "en",
    title: "slimlab",
    subtitle: "Neural network compression, by doing it",
    intro:
      "Every chapter is a notebook: each number and picture in it comes from the code beside it, computed when this book was made or, where that takes long, once before it, and shipped as data. Open the same notebooks in JupyterLab to change the code and run it again.",
    skip: "Skip to the text",
    chapters: "Chapters",
    guides: "Guides",
    onThisPage: "On this page",
    search: "Search the book",
    noResults: "Nothing found",
    theme: "Colours: light or dark",
    language: "中文",
    previous: "Previous",
    next: "Next",
    download: "Download as notebook",
    run: "Open and run this chapter here",
    copy: "Copy",
    copied: "Copied",
    save: "Save the figure as",
    showCode: "Show the code",
    solution: "Solution",
    checks: "What checks it",
    cells: (n: number) => `${n} code ${n === 1 ? "cell" : "cells"}`,
    seconds: (s: number) => `ran in ${s < 10 ? s.toFixed(1) : Math.round(s)} s`,
    notRun: "This chapter has not been run: it is shown without its results. slimlab start runs it.",
    notes: {
      ok: "",
      failed: "This chapter stopped at an error",
      timeout: "This chapter ran out of time",
      died: "This chapter's process ended before it was done",
      invalid: "This chapter could not be run",
    },
    cell: (n: number) => `cell ${n}`,
    line: (n: number) => `line ${n}`,
    changed: (cell: number) =>
      `This chapter was changed after it had been run: from cell ${cell} on it is shown without results. slimlab start runs it anew.`,
    leftOut: {
      outside: "not in this book: it lies outside the notebooks' folder",
      hidden: "not in this book: its name begins with a dot",
      folder: "not in this book: it is a folder",
      missing: "there is no such file",
    },
    broken: {
      chapter: (reason: string) => `This page could not be made: ${reason}`,
      cell: (reason: string) => `This cell could not be shown: ${reason}`,
      output: (reason: string) => `This output could not be shown: ${reason}`,
    },
    picture: "Picture put out by the cell",
    chart: "Chart",
    needsScripts: "This chart needs scripts.",
    made: (version: string, node: string) => `Made by slimlab ${version} on Node.js ${node}.`,
  },
  zh: {
    lang: "zh-Hans",
    title: "slimlab",
    subtitle: "神经网络模型压缩技术实战",
    intro:
      "每一章都是一个笔记本：其中的每个数字和每幅图都出自旁边的代码，在制作本书时算出；耗时长的实验则事先运行过一次，结果作为数据随书附带。在 JupyterLab 中打开同样的笔记本，就可以修改代码、重新运行。",
    skip: "跳到正文",
    chapters: "章节",
    guides: "导读",
    onThisPage: "本页内容",
    search: "搜索全书",
    noResults: "没有找到",
    theme: "颜色：浅色或深色",
    language: "English",
    previous: "上一章",
    next: "下一章",
    download: "下载笔记本",
    run: "在此打开并运行本章",
    copy: "复制",
    copied: "已复制",
    save: "将图保存为",
    showCode: "显示代码",
    solution: "参考答案",
    checks: "检查用的代码",
    cells: (n: number) => `${n} 个代码单元`,
    seconds: (s: number) => `运行用时 ${s < 10 ? s.toFixed(1) : Math.round(s)} 秒`,
    notRun: "本章尚未运行，因此没有结果。运行 slimlab start 即可。",
    notes: {
      ok: "",
      failed: "本章因错误中止",
      timeout: "本章运行超时",
      died: "本章的进程提前结束",
      invalid: "本章无法运行",
    },
    cell: (n: number) => `第 ${n} 个单元`,
    line: (n: number) => `第 ${n} 行`,
    changed: (cell: number) =>
      `本章在运行之后有改动：从第 ${cell} 个单元起没有结果。运行 slimlab start 即可更新。`,
    leftOut: {
      outside: "未收入本书：文件不在笔记本文件夹内",
      hidden: "未收入本书：文件名以点开头",
      folder: "未收入本书：这是一个文件夹",
      missing: "没有这个文件",
    },
    broken: {
      chapter: (reason: string) => `无法生成此页：${reason}`,
      cell: (reason: string) => `无法显示此单元：${reason}`,
      output: (reason: string) => `无法显示此输出：${reason}`,
    },
    picture: "单元输出的图像",
    chart: "图表",
    needsScripts: "此图需要脚本才能显示。",
    made: (version: string, node: string) => `由 slimlab ${version} 在 Node.js ${node} 上生成。`,
  },
} as const satisfies Record<Language, unknown>;

/** Why something could not be shown, in the page's language as far as there are words for it. */
export function reasonOf(error: unknown, language: Language): string {
  const message = error instanceof Error ? error.message : String(error);
  return ownTexts(language)?.quietly().say(message) ?? message;
}

/** The document's sections, which group the chapters. */
export const sections: Record<string, Record<Language, string>> = {
  "1": { en: "Background", zh: "背景介绍" },
  "2": { en: "Core concepts", zh: "核心概念与联系" },
  "3.1": { en: "Pruning", zh: "剪枝剪裁" },
  "3.2": { en: "Quantization", zh: "量化" },
  "3.3": { en: "Low-rank factorization", zh: "低秩分解" },
  "3.4": { en: "Knowledge distillation", zh: "知识蒸馏" },
  "4": { en: "Practice cases", zh: "实战案例" },
  "5": { en: "Comparison", zh: "比较与适用场景" },
};

/** The section that a chapter's number belongs to. */
export function sectionOf(number: string): string {
  return number
    .split(".")
    .slice(0, number.startsWith("3") ? 2 : 1)
    .join(".");
}
