// `slimlab compress` from a model file to a folder: reads, works, writes every format, runs what can be run, reports.
import { mkdir } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import type { Scaling } from "../../datasets/index.ts";
import { graphOf, shapesOf, storedOf } from "../../nn/index.ts";
import type { Language } from "../../notebook/notebook.ts";
import { writeFileAtomic } from "../../platform/node.ts";
import { slimlabVersion } from "../../util/version.ts";
import { openModelFile } from "../files.ts";
import { portsOf } from "./arrays.ts";
import { checkedByEngine } from "./engines.ts";
import { type ExampleOptions, loadExamples } from "./examples.ts";
import type { Goal } from "./goal.ts";
import { modelRunner, type Runner, type RunTime, timesOf } from "./latency.ts";
import { type ReportInput, reportOf } from "./report.ts";
import { type TargetName, writeTarget } from "./targets.ts";
import { compress, type Work } from "./work.ts";

/** What is asked. */
export interface CompressOptions {
  goal: Goal;
  targets: readonly TargetName[];
  examples: ExampleOptions;
  out: string;
  integers?: boolean;
  language?: Language;
  epochs?: number;
  seed?: number;
  cache?: string | false;
  /** As the report says how to repeat it. */
  command: string;
  signal?: AbortSignal;
}

/**
 * Compresses a model file into a folder: the network in every format asked for, report.html, report.json, recipe.json.
 *
 * @returns what was done, and the files of the network
 * @throws Error that names the argument, what it is and what is allowed
 */
export async function compressFile(
  path: string,
  options: CompressOptions,
): Promise<{ work: Work; files: { path: string; bytes: number }[] }> {
  const { targets, out, examples: from, language = "en", integers = false, seed = 1, signal } = options;
  const opened = await openModelFile(path);
  if (opened.format === "safetensors") await opened.tensors.close();
  if (opened.format === "gguf") await opened.gguf.close();
  if (!("model" in opened))
    throw new Error(
      `${path} holds no network that can be compressed as a whole: slimlab convert changes .${opened.format} files`,
    );
  const { model, compression } = opened;
  // A network that was compressed before knows how its inputs are made.
  const kept = "meta" in opened ? (opened.meta as { scaling?: Scaling } | undefined)?.scaling : undefined;
  const asked = { ...from, ...((from.scaling ?? kept) ? { scaling: from.scaling ?? kept } : {}) };
  const examples = await loadExamples(portsOf(model), asked, signal);
  const { scaling } = asked;
  const meta = { ...("meta" in opened ? opened.meta : {}), ...(scaling ? { scaling } : {}) };
  const work = await compress({ model, ...(compression ? { compression } : {}) }, examples, {
    goal: options.goal,
    meta,
    target: targets[0],
    integers,
    epochs: options.epochs,
    seed,
    cache: options.cache,
    signal,
  });
  const state = await work.result.load();
  try {
    await mkdir(out, { recursive: true });
    const files: ReportInput["files"][number][] = [];
    const engineTimes: RunTime[] = [];
    for (const target of targets) {
      signal?.throwIfAborted();
      const file = await writeTarget(target, state, work.slim, out, { integers, images: work.parts.train });
      const { checked, time, note } = await checkedByEngine(file, state.model, work.parts.decide, signal);
      files.push({
        ...file,
        notes: [...file.notes, ...(note ? [note] : [])],
        ...(checked ? { checked } : {}),
      });
      if (time) engineTimes.push(time);
    }
    const runners: Runner[] = [
      modelRunner("TensorFlow.js, original", model, work.parts.decide),
      modelRunner("TensorFlow.js, compressed", state.model, work.parts.decide),
    ];
    const notes = [...(("notes" in opened ? opened.notes : undefined) ?? []), ...examples.notes];
    if (!state.activations)
      try {
        const stored = storedOf(state.model, state.compression);
        runners.push({ name: "slimlab/runtime", run: ([image]) => stored.run(image), bytes: stored.bytes });
      } catch (error) {
        notes.push((error as Error).message);
      }
    const times = [...(await timesOf(runners, work.parts.decide, signal)), ...engineTimes];
    const { images, data } = from;
    const name = basename(path, extname(path)) || path;
    const input = {
      name,
      source: images ?? data!,
      work,
      shapes: shapesOf(state.model),
      graph: graphOf(state.model),
      compression: state.compression,
      files,
      times,
      notes,
      command: options.command,
    };
    await writeFileAtomic(join(out, "recipe.json"), `${JSON.stringify(work.chosen.recipe, undefined, 2)}\n`);
    await writeFileAtomic(join(out, "report.json"), `${JSON.stringify(jsonOf(input, seed), undefined, 2)}\n`);
    await writeFileAtomic(join(out, "report.html"), await reportOf(input, language));
    return { work, files };
  } finally {
    state.model.dispose();
  }
}

/** The numbers of the report, for programs. */
function jsonOf(input: Parameters<typeof reportOf>[0], seed: number) {
  const { work, files, times, name, source, notes } = input;
  const { original, chosen, attempts, comparison, judged, folded, labelled, goal, met } = work;
  return {
    slimlab: slimlabVersion,
    node: process.version,
    name,
    source,
    seed,
    goal,
    met,
    labelled,
    original: { bytes: original.bytes, slimBytes: original.slimBytes, ...original.accuracy },
    chosen: chosen.label,
    recipe: chosen.recipe,
    bytes: chosen.bytes,
    comparison,
    ...(judged ? { judged } : {}),
    attempts: attempts.map(({ rows: _, ...plain }) => plain),
    folded,
    files: files.map(({ engine: _, ...plain }) => plain),
    times,
    notes,
  };
}
