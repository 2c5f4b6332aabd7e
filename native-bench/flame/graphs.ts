/** Samples sorted by process and thread into the graphs of the page. Pure. */
import type { Graph } from "./page.ts";
import { addStack, CALLERS_UNSEEN, type Frame, newTree, POOL_THREAD, type Sample } from "./stack-tree.ts";

/** Who is who among the processes. */
export interface Processes {
  readonly supervisor: number;
  readonly workers: readonly number[];
}

/** At the beginning of a thread of piscina. */
const POOL_FRAME = /^node::worker::Worker/;

export function graphsOf(samples: readonly Sample[], { supervisor, workers }: Processes): Graph[] {
  const ofWorkers = samples.filter(({ pid }) => workers.includes(pid));
  const ofSupervisor = samples.filter(({ pid }) => pid === supervisor);
  return [
    graphOf(workers.length === 1 ? "gateway worker" : `${workers.length} gateway workers`, ofWorkers),
    graphOf("supervisor and its pool", ofSupervisor),
  ];
}

function graphOf(title: string, samples: readonly Sample[]): Graph {
  const root = newTree(title);
  const threads = Map.groupBy(samples, ({ pid, thread }) => `${pid}/${thread}`);
  for (const ofThread of threads.values()) {
    const thread = threadFrame(ofThread);
    for (const { frames, whole } of ofThread) addStack(root, [thread, ...(whole ? [] : [CALLERS_UNSEEN]), ...frames]);
  }
  return { title, root, partial: samples.filter(({ whole }) => !whole).length };
}

/** A thread is what its stacks begin with; threads that do the same are one. */
function threadFrame(samples: readonly Sample[]): Frame {
  const [first] = samples;
  if (first?.thread === `${first?.pid}`) return { name: "main thread", kind: "thread" };
  const isPool =
    first?.thread === POOL_THREAD || samples.some(({ frames }) => frames.some(({ name }) => POOL_FRAME.test(name)));
  return { name: isPool ? "pool threads" : "threads of V8 and libuv", kind: "thread" };
}
