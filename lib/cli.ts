#!/usr/bin/env node
// One door for the shell. A command's module is loaded only when it is called, so that the kernel starts fast.

/** What every command's module exports. */
export interface Command {
  /** Runs the command; resolves to the exit code. */
  run(args: string[]): Promise<number>;
}

const commands: Record<string, { summary: string; load: () => Promise<Command> }> = {
  start: { summary: "run the chapters and build the book", load: () => import("./commands/start.ts") },
  run: {
    summary: "run notebooks headless: slimlab run NOTEBOOK...",
    load: () => import("./commands/run.ts"),
  },
  book: {
    summary: "build the book from run notebooks; --serve shows it",
    load: () => import("./commands/book.ts"),
  },
  site: {
    summary: "build the workbook as static files that run in a browser",
    load: () => import("./commands/site.ts"),
  },
  check: {
    summary: "run your notebook and say which exercises are solved",
    load: () => import("./commands/check.ts"),
  },
  release: {
    summary: "make the students' edition of notebooks: no solutions, no hidden tests",
    load: () => import("./commands/release.ts"),
  },
  grade: {
    summary: "grade what a class has handed in",
    load: () => import("./commands/grade.ts"),
  },
  "grade-worker": {
    summary: "take work from a queue: submissions, trials of searches",
    load: () => import("./commands/grade-worker.ts"),
  },
  inspect: {
    summary: "show what is in a model file and what it costs",
    load: () => import("./commands/inspect.ts"),
  },
  convert: {
    summary: "write a model file in another format: slimlab convert IN OUT",
    load: () => import("./commands/convert.ts"),
  },
  reproduce: {
    summary: "run a record of chapter 4.3 again and compare",
    load: () => import("./commands/reproduce.ts"),
  },
  compress: {
    summary: "make a model file smaller, with a report of what it cost",
    load: () => import("./commands/compress.ts"),
  },
  kernel: { summary: "install or uninstall the Jupyter kernel", load: () => import("./commands/kernel.ts") },
  lab: { summary: "set up JupyterLab here and open the notebooks", load: () => import("./commands/lab.ts") },
  native: { summary: "install the native TensorFlow backend", load: () => import("./commands/native.ts") },
};

const help = `Usage: slimlab COMMAND [OPTION]...

${Object.entries(commands)
  .map(([name, { summary }]) => `  ${name.padEnd(12)} ${summary}`)
  .join("\n")}

slimlab COMMAND --help tells more, slimlab --version which this is.`;

const [name, ...args] = process.argv.slice(2);
if (name === undefined || name === "--help" || name === "-h" || name === "help") {
  console.log(help);
  process.exitCode = name === undefined ? 2 : 0;
} else if (name === "--version" || name === "-v") {
  console.log((await import("./util/version.ts")).slimlabVersion);
} else if (!Object.hasOwn(commands, name)) {
  console.error(`slimlab: there is no command ${JSON.stringify(name)}\n\n${help}`);
  process.exitCode = 2;
} else {
  try {
    process.exitCode = await (await commands[name].load()).run(args);
  } catch (error) {
    // A person at the shell wants the sentence; SLIMLAB_DEBUG gives the stack to whoever mends it.
    const message = error instanceof Error ? error.message : String(error);
    console.error(
      process.env.SLIMLAB_DEBUG && error instanceof Error ? error.stack : `slimlab ${name}: ${message}`,
    );
    process.exitCode = 1;
  }
}
