// A cell's outputs, gathered from messages as a notebook keeps them.
import type { Content, Message } from "../protocol/messages.ts";
import type { Output } from "./client.ts";

/** Outputs that have an id: a later cell's update still reaches them. */
export type Displays = Map<string, Output[]>;

/** Takes the iopub messages of one request; streams are merged, `clear_output` is applied. */
export function gathered(displays: Displays): { outputs: Output[]; take: (message: Message) => void } {
  const outputs: Output[] = [];
  let clearNext = false;
  const add = (output: Output) => {
    if (clearNext) {
      outputs.length = 0;
      clearNext = false;
    }
    const last = outputs.at(-1);
    if (output.output_type === "stream" && last?.output_type === "stream" && last.name === output.name) {
      last.text += output.text;
    } else {
      outputs.push(output);
    }
  };
  const take = (message: Message) => {
    const { content } = message;
    switch (message.header.msg_type) {
      case "stream":
        add({ output_type: "stream", name: content.name, text: content.text });
        break;
      case "display_data": {
        const output: Output = {
          output_type: "display_data",
          data: content.data,
          metadata: content.metadata,
        };
        const id = content.transient?.display_id;
        if (id) displays.set(id, [...(displays.get(id) ?? []), output]);
        add(output);
        break;
      }
      case "execute_result":
        add({
          output_type: "execute_result",
          data: content.data,
          metadata: content.metadata,
          execution_count: content.execution_count,
        });
        break;
      case "error":
        add({
          output_type: "error",
          ename: content.ename,
          evalue: content.evalue,
          traceback: content.traceback,
        });
        break;
      case "clear_output":
        if (content.wait) clearNext = true;
        else outputs.length = 0;
        break;
    }
  };
  return { outputs, take };
}

/** Gives displays of one id what an update says. */
export function updateDisplays(displays: Displays, content: Content): void {
  for (const output of displays.get(content.transient?.display_id) ?? []) {
    if (output.output_type !== "display_data") continue;
    output.data = content.data;
    output.metadata = content.metadata;
  }
}
