// The thread that makes students' pages: see pages.ts.
import { parentPort } from "node:worker_threads";
import { feedbackPage } from "./feedback.ts";

parentPort!.on("message", (asked: Parameters<typeof feedbackPage>) => {
  parentPort!.postMessage(feedbackPage(...asked));
});
