/**
 * How long after a client has left does its provider know? In every state of test/support/cancel-states.ts in which a provider has the
 * request, over each transport: from the client's close() to the end of the connection, or of the stream, as the provider's server
 * tells it. Client, request path and provider share one thread here, so what each of them takes is in the figure. Loopback only.
 *
 *   node native-bench/cancel-delay.ts [--rounds 300]
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { newHistogram } from "../src/telemetry/hdr/histogram.ts";
import { CANCEL_STATES, CancelStage, type CancelState, WIRES, type WireKind } from "../test/support/cancel-states.ts";
import { until } from "../test/support/until.ts";
import { textTable } from "./runner/text-table.ts";

const US_PER_MS = 1_000;

/** Milliseconds. */
async function delayOf(state: CancelState, stage: CancelStage): Promise<number> {
  stage.forget();
  const client = await state.reach(stage);
  const { promise, resolve } = Promise.withResolvers<number>();
  stage.far.onCancelled = () => resolve(performance.now());
  const leftMs = performance.now();
  client.leave();
  const knownMs = await promise;
  await until("nothing is in flight", () => stage.path.pipeline.inFlight === 0);
  return knownMs - leftMs;
}

async function rowOf(kind: WireKind, state: CancelState, rounds: number): Promise<string[]> {
  const stage = await CancelStage.start(kind);
  const histogram = newHistogram();
  for (let round = 0; round < rounds; round += 1) histogram.recordValue((await delayOf(state, stage)) * US_PER_MS);
  stage.stop();
  const ms = (us: number) => (us / US_PER_MS).toFixed(2);
  const figures = [50, 99].map((percent) => ms(histogram.getValueAtPercentile(percent)));
  return [state.name, kind, ...figures, ms(histogram.maxValue)];
}

const { values } = parseArgs({ options: { rounds: { type: "string", default: "300" } } });
const rounds = Number(values.rounds);
if (!(Number.isInteger(rounds) && rounds > 0)) throw new Error("--rounds takes a number from 1 on");
const rows: string[][] = [];
for (const state of CANCEL_STATES) {
  // Without `seen` nobody has to be told; with `afterwards` the provider does not read before.
  if (state.seen === undefined || state.afterwards !== undefined) continue;
  for (const kind of WIRES.filter((wire) => state.wires.includes(wire))) rows.push(await rowOf(kind, state, rounds));
}
process.stdout.write(
  `${textTable(["a client leaves while", "transport", "p50 ms", "p99 ms", "max ms"], rows, 2)}\n${rounds} times each\n`,
);
process.exit();
