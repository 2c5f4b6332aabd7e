/** The client is gone, in every state and over every transport: the attempt is cancelled in the same call, and what was used is booked. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS } from "../../src/base/errors.ts";
import { scansOpen } from "../../src/providers/response-scan.ts";
import { CANCEL_STATES, CancelStage, type CancelState, WIRES, type WireKind } from "../support/cancel-states.ts";
import { until } from "../support/until.ts";

async function leaves(state: CancelState, stage: CancelStage): Promise<void> {
  const client = await state.reach(stage);
  const { path, far } = stage;
  const requests = far.seen.length;
  const others = path.pipeline.inFlight - 1;
  client.leave();
  await until("the gateway knows", () => stage.ends.length > 0);
  deepStrictEqual(stage.ends, [state.attempt ? "cancelled" : "none"]);
  strictEqual(path.pipeline.inFlight, others);
  state.afterwards?.(stage);
  const { seen } = state;
  if (seen !== undefined) await until("the provider knows", () => seen(stage));
  const records = path.records();
  const { error, attempts, usageSource } = records.at(-1) ?? {};
  deepStrictEqual(
    { records: records.length, error, attempts, usageSource },
    { records: 1, error: ERRORS.clientAborted.number, attempts: state.attempts, usageSource: state.usage },
  );
  strictEqual(far.seen.length, requests);
  if (others === 0) strictEqual(scansOpen(), 0);
}

async function onStage(kind: WireKind, state: CancelState, front = false): Promise<void> {
  const stage = await CancelStage.start(kind, front);
  try {
    await leaves(state, stage);
  } finally {
    stage.stop();
  }
}

for (const kind of WIRES) {
  for (const state of CANCEL_STATES.filter(({ wires }) => wires.includes(kind))) {
    test(`a client leaves while ${state.name} (${kind})`, () => onStage(kind, state));
  }
}

for (const state of CANCEL_STATES.filter(({ wires }) => wires.includes("native"))) {
  test(`a client of a TLS listener leaves while ${state.name}`, () => onStage("native", state, true));
}
