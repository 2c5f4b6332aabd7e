/**
 * Child process of the ring rig: pushes records into a ring as fast as it can until it is killed. argv: data directory,
 * first number, name of a broken writer or "real". Tells over a mapped file how many pushes it was told are published.
 */
import { join } from "node:path";
import { native } from "../../src/native/native.ts";
import { openRing } from "../../src/shm/ring.ts";
import { mapRingFile, ringsDirectory } from "../../src/shm/ring-file.ts";
import { publishesFirst } from "./ring-broken.ts";
import { recordOf } from "./ring-model.ts";

const [dataDir = "", first = "0", kind = "real"] = process.argv.slice(2);
const path = join(ringsDirectory(dataDir), "ring-000.map");
const { slot, writer } = openRing(dataDir);
const pushed = new BigInt64Array(native.mapFile(join(dataDir, "pushed.map"), 4_096));
const target = kind === "real" ? writer : publishesFirst(mapRingFile(path));
if (slot !== 0) throw new Error(`the slot of the killed process is still held, this one has ${slot}`);

for (let n = Number(first); ; ) {
  if (!target.push(recordOf(n))) continue;
  n += 1;
  Atomics.store(pushed, 0, BigInt(n));
}
