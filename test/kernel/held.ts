// Kernels for tests, each of whose messages is held against the protocol's reference.
import assert from "node:assert/strict";
import * as client from "../../lib/kernel/client.ts";
import { type Failure, faultsOf, replyFaults } from "../../lib/kernel/protocol/reference.ts";

/** As the client's `startKernel`; a message that is not as the reference says fails the next call. */
export async function startKernel(options: client.StartOptions = {}): Promise<client.KernelClient> {
  const kernel = await client.startKernel(options);
  const faults: string[] = [];
  const check = (found: string[]) => {
    faults.push(...found);
    assert.deepEqual(faults.splice(0), [], "messages that are not as the reference says");
  };
  kernel.onMessage((message) => faults.push(...faultsOf(message, "iopub")));
  const { request, execute, shutdown } = kernel;
  kernel.request = async (...args) => {
    const reply = await request.apply(kernel, args);
    // What the kernel refuses has no reference.
    const isRefused = (reply.content as Partial<Failure>).ename === "NotImplementedError";
    check(isRefused ? [] : faultsOf(reply, args[0]));
    return reply;
  };
  kernel.execute = async (...args) => {
    const result = await execute.apply(kernel, args);
    check(replyFaults("execute_reply", result.content));
    return result;
  };
  kernel.shutdown = async (...args) => {
    await shutdown.apply(kernel, args);
    check([]);
  };
  check(replyFaults("kernel_info_reply", kernel.info));
  return kernel;
}
