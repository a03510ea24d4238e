// What to write here instead, for what people bring from other notebooks, shells, Python and the browser.

/** A cell that other notebooks would run, by how it looks: each with what to write instead. */
const habits: [RegExp, (found: RegExpExecArray) => string | undefined][] = [
  [/^%%?(\w*)/, magic],
  [
    /^!\s*(.*)/,
    ([, command]) =>
      `Shell commands run from Node here: import { execSync } from "node:child_process"; execSync(${JSON.stringify(command)}, { stdio: "inherit" })`,
  ],
  [
    /^\?+\s*([\w$.]+)|^([\w$.]+)\s*\?+$/,
    ([, a, b]) => `Help on ${a ?? b}: put the cursor on it and press Shift+Tab`,
  ],
  [
    /^\.(help|exit|load|save|break|clear|editor)\b/,
    () => "Commands of Node's REPL do not exist here; the notebook's menus have what they do",
  ],
  [/^cd\s+([\w@./~-]+)\s*$/, ([, folder]) => `process.chdir(${JSON.stringify(folder)}) changes the folder`],
  [
    /^(npm|npx|yarn|pnpm|bun|deno|pip|conda|node|git|ls|cd|pwd|cat|mkdir|echo|rm|cp|mv|curl|wget|sudo|apt)\s+[\w@./~"'$-].*/,
    ([line, program]) =>
      program === "pip" || program === "conda"
        ? `${program} installs Python's packages; npm packages are installed in a terminal: npm install NAME`
        : `This is a shell command: type it in a terminal, or run it from Node: (await import("node:child_process")).execSync(${JSON.stringify(line)})`,
  ],
  [
    /^import\s+[\w.]+(\s+as\s+\w+)?\s*$|^from\s+[\w.]+\s+import\b/,
    () => 'This is Python; in TypeScript it is: import * as name from "package"',
  ],
  [
    /^(def|lambda)\b|=\s*lambda\b/,
    () => "This is Python; a function here is: function name(x) { … }, or (x) => …",
  ],
  [
    /^(if|elif|else|for|while|try|except|with|class)\b(?!\s*\()[^{]*:\s*([\w#].*)?$/,
    ([, word]) =>
      `This is Python; here it is: ${
        {
          for: "for (const x of xs) { … }",
          while: "while (condition) { … }",
          try: "try { … } catch (error) { … }",
        }[word] ?? (word === "class" ? "class Name { … }" : "if (condition) { … } else { … }")
      }`,
  ],
  [
    /[[(]\s*[^\])]*\bfor\s+\w+(\s*,\s*\w+)*\s+in\s+/,
    () => "This is Python; a list of a list is made by xs.map((x) => …) and xs.filter((x) => …)",
  ],
  [/^print\s+["'`\w]/, () => "It is written console.log(…)"],
  [/(^|[=(,])\s*[frb]["']/, () => `Texts with values in them are written \`… \${value} …\``],
  [/^console\.(log|error|info)\s+["'`\w]/, ([, name]) => `Calls have parentheses: console.${name}(…)`],
  [/(\w|\))\s*->\s*\S/, () => "A function's arrow is written =>: (x) => …"],
  [/^(let|const|var)\s+(\d\w*)/, ([, , name]) => `A name begins with a letter, _ or $, and ${name} does not`],
  [/^([a-z]{3,10})\s+[\p{ID_Start}\d$_*{["'`]/u, ([, word]) => mistypedKeyword(word)],
  [/^([a-z]{2,8})\s*\([^)]*\)\s*\{/, ([, word]) => mistypedKeyword(word, headed)],
  [/^[^"`]*'[^']*\w'\w+[^"`]*$/, () => `An apostrophe ends a text in single quotes: write "it's"`],
  [/=\s*.+\s+if\s+.+\s+else\s+\S/, () => "This is Python; here it is: condition ? one : other"],
  [/^[^"'`]*[\w)\]]\s+(and|or)\s+[\w(!]/, ([, word]) => `${word} is written ${word === "and" ? "&&" : "||"}`],
  [/(^|[=(])\s*not\s+[\w(]/, () => "not is written !"],
];

const keywords = `const let var function class import export return async await interface type enum
  namespace throw while switch delete typeof yield`.match(/\S+/g) as string[];
/** Words before a head in parentheses and a block. */
const headed = ["if", "for", "while", "switch", "catch"];

/** "cosnt x = 1": a word that is none, one slip away from one that could stand there. */
function mistypedKeyword(word: string, among = keywords): string | undefined {
  const meant = among.includes(word) ? undefined : among.find((each) => isOneSlip(word, each));
  return meant && `Did you mean ${meant}?`;
}

/** Two neighbouring letters have changed places, or one letter is missing, too many or another. */
function isOneSlip(written: string, meant: string): boolean {
  let start = 0;
  while (start < written.length && written[start] === meant[start]) start++;
  const rest = (text: string, skipped: number) => text.slice(start + skipped);
  const isSwapped =
    written[start] === meant[start + 1] &&
    written[start + 1] === meant[start] &&
    rest(written, 2) === rest(meant, 2);
  return (
    isSwapped ||
    rest(written, 1) === rest(meant, 1) ||
    rest(written, 1) === rest(meant, 0) ||
    rest(written, 0) === rest(meant, 1)
  );
}

function magic([, name]: RegExpExecArray): string {
  const instead: Record<string, string> = {
    time: "console.time() and console.timeEnd() take times",
    timeit: "console.time() and console.timeEnd() take times",
    bash: 'import { execSync } from "node:child_process" runs shell commands',
    sh: 'import { execSync } from "node:child_process" runs shell commands',
    pip: "npm packages are installed in a terminal: npm install NAME",
    html: 'display.html("<b>…</b>") shows HTML',
    javascript: "every cell is JavaScript or TypeScript; display.javascript(…) runs code in the browser",
    js: "every cell is JavaScript or TypeScript; display.javascript(…) runs code in the browser",
    latex: 'display.latex("$…$") shows formulas',
    markdown: 'display.markdown("…") shows Markdown',
    cd: "process.chdir(folder) changes the folder",
    matplotlib: "charts come from slimlab/plots or any package for charts",
    env: "process.env has the environment",
  };
  return `%${name} is a magic of IPython's, which this kernel does not have${instead[name] ? `: ${instead[name]}` : ""}`;
}

/** What to write instead of a line that is no TypeScript. */
export function hintForLine(line: string): string | undefined {
  const text = line.trim();
  for (const [pattern, hint] of habits) {
    const found = pattern.exec(text);
    const said = found && hint(found);
    if (said) return said;
  }
  return undefined;
}

const browser =
  /^(window|document|alert|confirm|localStorage|sessionStorage|location|screen|history|HTML\w*Element|DOMParser|XMLHttpRequest|requestAnimationFrame|cancelAnimationFrame|getComputedStyle|Image|FileReader|indexedDB)$/;

const names: Record<string, string> = {
  print: "console.log(…) prints; a cell's last value shows itself",
  println: "console.log(…) prints; a cell's last value shows itself",
  printf: "console.log(…) prints; a cell's last value shows itself",
  len: "the length of a list or a text is its .length",
  range: "Array.from({ length: n }, (_, i) => i) is the list from 0 to n - 1",
  True: "it is written true",
  False: "it is written false",
  None: "it is written null or undefined",
  elif: "it is written else if",
  elseif: "it is written else if",
  elsif: "it is written else if",
  self: "it is written this, or globalThis",
  np: "numeric arrays are Float32Array and its like, or tensors of @tensorflow/tfjs",
  pd: "tables are danfojs-node's",
  plt: "charts come from slimlab/plots or any package for charts",
  alert: "the cell runs in Node and not in the browser: display(…) and console.log(…) show, prompt(…) asks",
  confirm: "the cell runs in Node and not in the browser: prompt(…) asks",
  React:
    'with this folder\'s tsconfig.json, JSX makes its elements with React: import React from "react", or have "jsx": "react-jsx"',
  localStorage: 'the cell runs in Node and not in the browser: files keep data, with "node:fs"',
};

/** Python's functions. Their names may as well be those of a cell that has not been run. */
const python: Record<string, string> = {
  str: `String(x), and in texts \`… \${x} …\``,
  int: "Math.trunc(x), and of a text Number(x)",
  float: "Number(x)",
  bool: "Boolean(x)",
  dict: "an object, { a: 1 }, or a Map",
  list: "Array.from(xs)",
  tuple: "a list, [a, b]",
  sorted: "xs.toSorted((a, b) => a - b)",
  reversed: "xs.toReversed()",
  enumerate: "xs.entries()",
  zip: "xs.map((x, i) => [x, ys[i]])",
  sum: "xs.reduce((sum, x) => sum + x, 0)",
  abs: "Math.abs(x)",
  round: "Math.round(x)",
  isinstance: "x instanceof Class, or typeof x",
  help: "Shift+Tab, with the cursor on a name",
  exit: "in the notebook's menu, which ends the kernel",
  quit: "in the notebook's menu, which ends the kernel",
};

/** What stands for a function of Python's, where nobody has declared one of that name. */
export function insteadOfPythons(name: string): string | undefined {
  return Object.hasOwn(python, name) ? `Python's ${name} is here: ${python[name]}` : undefined;
}

/** What to write instead of a name that nobody has declared. */
export function hintForName(name: string): string | undefined {
  if (Object.hasOwn(names, name)) return names[name];
  if (browser.test(name)) {
    return `${name} is the page's, and cells run apart from it: display.html(…) shows a page's parts, display.javascript(…) runs code in the browser`;
  }
  return undefined;
}

/** A hint as a sentence behind another: it begins with a capital, unless it begins with code. */
export function asSentence(hint: string): string {
  const isCode = /^[\w$]*[^\w\s$]|^(window|document|location|screen|history)\b/.test(hint);
  return `${isCode ? hint : hint[0].toUpperCase() + hint.slice(1)}${hint.endsWith("…") ? "" : "."}`;
}
