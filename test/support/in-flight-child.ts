/**
 * A process with attempts at some targets, like a worker in a hurry: `in-flight-child.ts DATA_DIR [TURNS]`. It says its column first. With
 * `TURNS` it takes so many, says how many attempts it has at each target, and waits; else it goes on until it is killed.
 */
import { openInFlight } from "../../src/shm/in-flight.ts";
import { openRing } from "../../src/shm/ring.ts";
import { Random } from "../fuzz/random.ts";

const [dataDir = "", turns = "Infinity"] = process.argv.slice(2);
const { slot: column } = openRing(dataDir);
const map = openInFlight(dataDir);
map.take(column);
const targets = ["a", "b", "c"].map((model) => ({ own: 0, inFlight: map.at("main", model, column) }));
const random = new Random(column + 1);
process.stdout.write(`${column}\n`);
for (let turn = 0; turn < Number(turns); turn += 1) {
  const target = random.pick(targets);
  const { inFlight } = target;
  const enters = target.own === 0 || random.chance(0.6);
  target.own += enters ? 1 : -1;
  if (enters) inFlight.enter();
  else inFlight.leave();
}
process.stdout.write(`${JSON.stringify(targets.map(({ own }) => own))}\n`);
setInterval(() => {}, 60_000);
