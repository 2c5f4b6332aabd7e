/** Bounds over all workers: of what only so many may have at a time, and of retries, which are a share of all requests. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { prepareInFlight } from "../../src/shm/in-flight.ts";
import { prepareRoutes } from "../../src/shm/routes.ts";
import { inFlightOf } from "../support/in-flight.ts";
import { directoryOf } from "../support/limits.ts";

const CHILD = new URL("../support/bounded-child.ts", import.meta.url).pathname;
const ROUNDS = 100_000;
const MACHINE_MS = 7_654_321;

interface Told {
  readonly entered: number;
  readonly beside: number;
  readonly taken: number;
}

test("nobody is let in beyond the bound, whoever has what there is", () => {
  const [one, other] = inFlightOf(2);
  ok(one !== undefined && other !== undefined);
  deepStrictEqual([one.enterWithin(2), other.enterWithin(2), one.enterWithin(2), one.count], [true, true, false, 2]);
  other.leave();
  deepStrictEqual([one.enterWithin(2), other.enterWithin(2), other.count], [true, false, 2]);
});

test("of three processes never two have what one may have, and together they are given a fifth of their requests and no more", async (context) => {
  const dataDir = directoryOf(context);
  const map = prepareInFlight(dataDir, false);
  prepareRoutes(dataDir, false);
  const children = [0, 1, 2].map((column) => {
    const args = [CHILD, dataDir, String(column), String(ROUNDS), String(MACHINE_MS)];
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", ...args]);
    context.after(() => child.kill("SIGKILL"));
    return { child, lines: createInterface(child.stdout)[Symbol.asyncIterator]() };
  });
  for (const { lines } of children) strictEqual((await lines.next()).value, "noted");
  for (const { child } of children) child.stdin.write("take\n");
  const told = await Promise.all(
    children.map(async ({ lines }) => JSON.parse((await lines.next()).value ?? "") as Told),
  );
  const sum = (part: keyof Told) => told.reduce((all, one) => all + one[part], 0);
  deepStrictEqual([sum("beside"), sum("taken"), map.at("", "only", 0).count], [0, (3 * ROUNDS) / 5, 0]);
  ok(sum("entered") > 0);
});
