// `node:path`, as on Linux.
export {
  basename,
  dirname,
  extname,
  format,
  isAbsolute,
  join,
  normalize,
  parse,
  relative,
  resolve,
} from "pathe";

import path from "pathe";

export const sep = "/";
export const delimiter = ":";
export const posix = path;
export default path;
