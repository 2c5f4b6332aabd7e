/**
 * A process, or with "worker" a thread of it, that leaves native connections in some state and ends: node native-upstream-child.ts
 * PORT STATE [worker]. It writes "there" when it is in that state, and ends by itself if nothing keeps its loop alive.
 */
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { native } from "../../src/native/native.ts";
import { Link } from "./native-upstream.ts";

type Enter = (port: number) => Promise<unknown>;

const BODY_BYTES = 5_000_000;

async function within(port: number, act: (link: Link) => void): Promise<Link> {
  const link = new Link({ port });
  link.get();
  await link.next("head");
  act(link);
  return link;
}

const STATES: Readonly<Record<string, Enter>> = {
  unused: async () => undefined,
  idle: (port) => Promise.all([1, 2, 3].map(() => new Link({ port }).next("connected"))),
  closed: async (port) => {
    const links = [1, 2, 3].map(() => new Link({ port }));
    await Promise.all(links.map((link) => link.next("connected")));
    for (const link of links) link.close();
  },
  active: (port) => within(port, () => undefined),
  paused: (port) => within(port, (link) => link.pause(true)),
  sending: async (port) => new Link({ port }).post(Buffer.alloc(BODY_BYTES)),
  connecting: async (port) => new Link({ port }),
  failing: async () => new Link({ port: 1, address: "no address" }),
  /** More than it may have descriptors: the others work all the same. */
  crowded: async (port) => {
    const links = Array.from({ length: 200 }, () => new Link({ port }));
    const told = await Promise.all(links.map((link) => link.next("connected", "connect failed")));
    const reasons = told.map((one) =>
      one.kind === "connected" ? "connected" : native.upstreamReason(one.cause, one.detail),
    );
    for (const link of links) link.close();
    console.log([...new Set(reasons)].sort().join(", "));
  },
  thrown: (port) =>
    within(port, (link) => {
      link.onTold = () => {
        throw new Error("from onEvents");
      };
    }),
};

const [port = "0", state = "", where = ""] = isMainThread ? process.argv.slice(2) : workerData;
if (isMainThread && where === "worker") {
  const worker = new Worker(new URL(import.meta.url), { workerData: [port, state] });
  worker.once("message", () => worker.terminate().then((code) => console.log(`terminated ${code}`)));
} else {
  await STATES[state]?.(Number(port));
  if (isMainThread) console.log("there");
  else (await import("node:worker_threads")).parentPort?.postMessage("there");
}
