// The names under which a run's things lie in Redis, and how long they stay when nobody looks after them any more.

/** Seconds without a sign of life after which a run counts as ended: its tasks are no longer worked on. */
export const aliveSeconds = 120;
/** Seconds that an answer waits to be fetched. */
export const answerSeconds = 3600;

export const startKey = (run: string) => `slimlab:run:${run}:start`;
export const aliveKey = (run: string) => `slimlab:run:${run}:alive`;
export const answerKey = (task: string) => `slimlab:answer:${task}`;

/** Why a task of a run that has ended fails; who still waits for it puts it on the queue again. */
export const runEnded = "its run has ended";
