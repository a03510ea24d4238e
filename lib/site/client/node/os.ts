// `node:os`: a browser tells little of its machine.
export const availableParallelism = (): number => navigator.hardwareConcurrency || 1;
export const cpus = () => Array.from({ length: availableParallelism() }, () => ({ model: "", speed: 0 }));
export const homedir = (): string => "/home";
export const tmpdir = (): string => "/tmp";
export const hostname = (): string => "browser";
export const platform = (): string => "browser";
export const EOL = "\n";
export default { availableParallelism, cpus, homedir, tmpdir, hostname, platform, EOL };
