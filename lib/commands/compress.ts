// `slimlab compress`: any network that slimlab reads, smaller, with a report of what it cost.
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { datasetNames } from "../datasets/index.ts";
import { type Language, languages } from "../notebook/notebook.ts";
import { checkInteger, checkOneOf } from "../util/check.ts";
import { untilInterrupted } from "../util/interrupt.ts";
import { type Fit, fits } from "./compress/pictures.ts";
import { type TargetName, targetNames } from "./compress/targets.ts";
import { readable } from "./files.ts";

const help = `Usage: slimlab compress [OPTION]... MODEL --images FOLDER|--data FILE GOAL --out DIR

Makes a network smaller: tries recipes, measures each, chooses by what is asked, and writes the network with a report
(report.html) of what it cost, where the error arises and how to repeat it. It reads
${readable}.

What it may look at:
  --images FOLDER  PNG and JPEG files; folders in it are classes, in their order or named by number
  --data FILE      .npy, .npz or .safetensors with examples x the network's input, labels or values as "y" or "labels";
                   of several inputs and outputs, an array for each, by the names of their layers; or a data set: ${datasetNames.join(", ")}
  --classes FILE   a class name a line, in the network's order: which folder is which
  Labels are optional. Without them, agreement with the original is what counts.

How bytes become inputs (default: 0 to 1); kept in the .slim file:
  --range LOW,HIGH        where 0 and 255 go: -1,1
  --mean M --deviation D  (byte / 255 - M) / D; one number, or three for red, green and blue
  --fit crop|stretch      what becomes of pictures of another shape (default: crop)

Exactly one goal:
  --budget SIZE      so many bytes at most: 100KB, 1.5MB, 64KiB
  --max-drop SHARE   so much accuracy (or agreement) lost at most: 0.5%
  --recipe FILE      these steps: a JSON list, or the recipe of a report.json

What comes out:
  --out DIR          where files go
  --target LIST      ${targetNames.join(", ")}, with commas (default: slim); the budget is the first one's
  --integers         8-bit activations in .onnx and .tflite files, too
  --language en|zh   of the report

How long it takes:
  --epochs N         passes over the images after each pruning (default: what a few minutes allow; 0 with few images)
  --limit N          at most so many images
  --seed N           fixes everything random (default: 1)

Ctrl-C ends it. Steps that are done are kept in the cache: the same command goes on where it was, also after a kill.
Ends with 0 if the goal is met, with 1 if not.`;

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      help: { type: "boolean", short: "h" },
      images: { type: "string" },
      data: { type: "string" },
      classes: { type: "string" },
      range: { type: "string" },
      mean: { type: "string" },
      deviation: { type: "string" },
      fit: { type: "string", default: "crop" },
      budget: { type: "string" },
      "max-drop": { type: "string" },
      recipe: { type: "string" },
      out: { type: "string" },
      target: { type: "string", default: "slim" },
      integers: { type: "boolean", default: false },
      language: { type: "string", default: "en" },
      epochs: { type: "string" },
      limit: { type: "string" },
      seed: { type: "string", default: "1" },
    },
  });
  if (values.help || positionals.length !== 1) {
    console.log(help);
    return values.help ? 0 : 2;
  }
  const [path] = positionals;
  // What can be wrong with the words is said before any work is done.
  const { goalOf } = await import("./compress/goal.ts");
  const { scalingOf } = await import("./compress/examples.ts");
  const goal = await goalOf(values);
  const scaling = scalingOf(values);
  if (values.out === undefined) throw new Error("--out DIR is missing: where do the files go?");
  const found = await stat(values.out).catch(() => undefined);
  if (found && !found.isDirectory()) throw new Error(`--out must be a folder, ${values.out} is a file`);
  const targets = values.target.split(",").map((name) => {
    checkOneOf<string>("--target", name.trim(), targetNames);
    return name.trim() as TargetName;
  });
  checkOneOf<string>("--fit", values.fit, fits);
  checkOneOf<string>("--language", values.language, languages);
  const whole = (name: "epochs" | "limit" | "seed", min: number) =>
    values[name] === undefined
      ? undefined
      : checkInteger(`--${name}`, Number(values[name]), min, 2 ** 32 - 1);
  const settings = { epochs: whole("epochs", 0), limit: whole("limit", 6), seed: whole("seed", 0)! };

  return untilInterrupted(async (signal) => {
    try {
      const { compressFile } = await import("./compress/file.ts");
      const { work, files } = await compressFile(path, {
        goal,
        targets: [...new Set(targets)],
        examples: {
          images: values.images,
          data: values.data,
          classes: values.classes,
          fit: values.fit as Fit,
          scaling,
          limit: settings.limit,
        },
        ...settings,
        out: values.out!,
        integers: values.integers,
        language: values.language as Language,
        command: commandLine(args),
        signal,
      });
      for (const { path: file, bytes } of files) console.log(`${file}: ${bytes.toLocaleString("en")} bytes`);
      console.log(join(values.out!, "report.html"));
      if (!work.met) console.log("the goal is not met: the report says what is");
      return work.met ? 0 : 1;
    } catch (error) {
      if (!signal.aborted) throw error;
      console.error("interrupted; what is done is kept, and the same command goes on from there");
      return 130;
    }
  });
}

/** The command line as a shell takes it. */
function commandLine(args: readonly string[]): string {
  const quoted = args.map((arg) =>
    /^[\w./:,%=@+-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`,
  );
  return `npx slimlab compress ${quoted.join(" ")}`;
}
