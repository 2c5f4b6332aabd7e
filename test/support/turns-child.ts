/** A process that chooses targets in turn like a worker: `turns-child.ts DATA_DIR CHOICES`. It says how often it has chosen each. */
import { routeWith } from "./three-targets.ts";

const [dataDir = "", choices = "0"] = process.argv.slice(2);
const choose = routeWith(dataDir, "round_robin");
const counts = new Map<string, number>();
for (let i = 0; i < Number(choices); i += 1) {
  const name = choose();
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
process.stdout.write(`${JSON.stringify([...counts].toSorted())}\n`);
