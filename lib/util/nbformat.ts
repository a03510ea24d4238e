// A notebook's outputs, as nbformat 4 names them: what the kernel's client gathers, and what notebook files hold.
import type { MimeBundle } from "./display.ts";

/**
 * What a code cell put out.
 *
 * @typeParam Text how text is kept: a file may hold one string or a list of lines, a client has one string
 */
export type Output<Text extends string | string[] = string | string[]> =
  | { output_type: "stream"; name: "stdout" | "stderr"; text: Text }
  | { output_type: "display_data"; data: MimeBundle; metadata: Record<string, unknown> }
  | {
      output_type: "execute_result";
      data: MimeBundle;
      metadata: Record<string, unknown>;
      execution_count: number | null;
    }
  | { output_type: "error"; ename: string; evalue: string; traceback: string[] };
