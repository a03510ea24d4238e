// Threads that are asked one thing at a time.
import type { Worker } from "node:worker_threads";

/** A thread took longer than it may: it goes on, and is to be ended. */
export class TooLate extends Error {}

/**
 * A thread's next answer.
 *
 * @param milliseconds what it may take
 * @throws Error where it fails, or ends without one; {@link TooLate} where its time is over
 */
export function answerOf<T>(worker: Worker, milliseconds?: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new TooLate(`no answer within ${milliseconds} ms`));
    const timer = milliseconds === undefined ? undefined : setTimeout(late, milliseconds);
    // Listened to until then, so that the end of one that was too late is nobody's error.
    const done = () => {
      clearTimeout(timer);
      worker.off("message", onMessage).off("error", onError).off("exit", onExit);
    };
    const onMessage = (answer: T) => {
      done();
      resolve(answer);
    };
    const onError = (error: Error) => {
      done();
      reject(error);
    };
    const onExit = (code: number) => onError(new Error(`its thread has ended (${code})`));
    worker.on("message", onMessage).on("error", onError).on("exit", onExit);
  });
}
