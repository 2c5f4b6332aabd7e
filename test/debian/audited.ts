/** Load on the installed gateway while something is done to it, and the books afterwards. Runs inside the booted Debian tree, as root. */
import { deepEqual } from "node:assert/strict";
import { Auditor, type Report } from "../audit/auditor.ts";
import { HABITS } from "../audit/client.ts";
import { until } from "../support/until.ts";
import type { Gateway } from "./gateway.ts";
import type { Provider } from "./provider.ts";

/** Requests that run at a time: one client of each habit. */
export const CLIENTS = HABITS.length;
/** Before anything is done. */
const REQUESTS_MIN = 50;
const NAMED_MAX = 10;

/** What the auditor found; `strangers` are those of its own time. */
export async function audited(gateway: Gateway, provider: Provider, act: () => Promise<void>): Promise<Report> {
  const earlier = new Set((await gateway.records(0)).map((row) => row.request_id));
  const auditor = new Auditor(gateway, provider.upstream, `${earlier.size}.`);
  auditor.begin(1);
  await until("the load runs", () => auditor.requests >= REQUESTS_MIN);
  await act();
  const report = await auditor.end();
  return { ...report, strangers: report.strangers.filter((id) => !earlier.has(id)) };
}

/** Every request that was answered is in each book once, and nothing else is. */
export function requireBooks({ unbalanced, strangers }: Report): void {
  const counts = { unbalanced: unbalanced.length, strangers: strangers.length };
  deepEqual(counts, { unbalanced: 0, strangers: 0 }, shortList([...unbalanced, ...strangers]));
}

export function requireNoneFailed({ failed }: Report): void {
  deepEqual(failed.length, 0, shortList(failed));
}

export function shortList(names: readonly string[]): string {
  return [`${names.length}:`, ...names.slice(0, NAMED_MAX)].join("\n");
}
