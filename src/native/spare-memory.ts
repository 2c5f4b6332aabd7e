/**
 * Memory that was freed and is kept for later, given back to the system: what the thread that read the configuration had, and what
 * compiling and starting took, is 6 MB of the supervisor and 1 MB of each gateway worker. Main thread of either. A call takes 0.1 ms.
 */
import { SPARE_MEMORY_INTERVAL_MS } from "../base/limits.ts";
import { native } from "./native.ts";

/** Now, and from time to time until the process ends, which it does not hold up. */
export function returnSpareMemory(): void {
  native.trimMemory();
  setInterval(native.trimMemory, SPARE_MEMORY_INTERVAL_MS).unref();
}
