/**
 * A process that has what only one may have, like a worker with hedges, as often as it can: `bounded-child.ts DATA_DIR COLUMN ROUNDS MACHINE_MS`. It says
 * how often it had it, how often another one had it at that time, and how many retries it was given at that moment of a budget of all.
 */

import { noteRequest, takeOne } from "../../src/pipeline/retry-budget.ts";
import { openInFlight } from "../../src/shm/in-flight.ts";
import { openRoutes } from "../../src/shm/routes.ts";

const [dataDir = "", column = "0", rounds = "0", machineMs = "0"] = process.argv.slice(2);
const map = openInFlight(dataDir);
map.take(Number(column));
const only = map.at("", "only", Number(column));
const { answers: holders, budget } = openRoutes(dataDir).at("holders");
const told = { entered: 0, beside: 0, taken: 0 };
for (let round = 0; round < Number(rounds); round += 1) {
  noteRequest(budget, Number(machineMs));
  if (!only.enterWithin(1)) continue;
  if (Atomics.add(holders, 0, 1) !== 0) told.beside += 1;
  told.entered += 1;
  Atomics.sub(holders, 0, 1);
  only.leave();
}
// All of them take when all have noted their requests.
process.stdout.write("noted\n");
process.stdin.once("data", () => {
  while (takeOne(budget, Number(machineMs), 20, 0)) told.taken += 1;
  process.stdout.write(`${JSON.stringify(told)}\n`);
  process.stdin.destroy();
});
