/**
 * The auditor: load on a gateway, and then the books compared: what the clients saw, what the provider saw, the records in
 * the store and the access log. Every request is in each of them exactly once, or is named.
 */
import { until } from "../support/until.ts";
import type { Upstream } from "../support/upstream.ts";
import type { RecordRow } from "../support/usage-db.ts";
import { type Asked, askOn, HABITS, type Outcomes, type Stop } from "./client.ts";

/** The gateway under audit, with its books. */
export interface Audited extends Asked {
  /** All records, once there are at least `count`. */
  records(count: number): Promise<readonly RecordRow[]>;
  accessLogText(): Promise<string>;
}

export interface Report {
  /** Requests of the clients. */
  readonly requests: number;
  readonly byHabit: Readonly<Record<string, number>>;
  /** Those that were not answered whole, each with what went wrong. */
  readonly failed: readonly string[];
  /** Answered, but not as often as they should be in the provider's journal, the store or the log; each with its counts. */
  readonly unbalanced: readonly string[];
  /** In the store or the log, and of no client. */
  readonly strangers: readonly string[];
}

export class Auditor {
  private readonly sluice: Audited;
  private readonly upstream: Upstream;
  private readonly series: string;
  private readonly outcomes: Outcomes = new Map();
  private readonly aborter = new AbortController();
  private readonly stop: Stop = { wanted: false, signal: this.aborter.signal };
  private readonly clients: Promise<void>[] = [];

  /** `series`: where several audits have the same books, of this one; it is in the ids of its requests. */
  constructor(sluice: Audited, upstream: Upstream, series = "") {
    this.sluice = sluice;
    this.upstream = upstream;
    this.series = series;
  }

  /** `clients` of each habit with one of these names begin to ask. */
  begin(clients: number, names: readonly string[] = HABITS.map(({ name }) => name)): void {
    for (const habit of HABITS.filter(({ name }) => names.includes(name))) {
      for (let i = 0; i < clients; i += 1)
        this.clients.push(askOn(this.sluice, habit, `${habit.name}-${this.series}${i}`, this.outcomes, this.stop));
    }
  }

  /** Requests so far, also those that run. */
  get requests(): number {
    return this.outcomes.size;
  }

  /** Lets what runs end, waits for the books to be written, and compares them. */
  async end(): Promise<Report> {
    this.stop.wanted = true;
    this.aborter.abort();
    await Promise.all(this.clients);
    const failed = [...this.outcomes].flatMap(([id, fault]) => (fault === null ? [] : [`${id}: ${fault}`]));
    const answered = this.outcomes.size - failed.length;
    await this.sluice.records(answered);
    // There may be records of others: what counts is that each of ours is there, or does not come.
    const isWritten = async () => (await this.compare()).unbalanced.length === 0;
    await until("the books are written", isWritten).catch(() => undefined);
    return { requests: this.outcomes.size, byHabit: this.byHabit(), failed, ...(await this.compare()) };
  }

  private byHabit(): Record<string, number> {
    const names = [...this.outcomes.keys()].map((id) => id.split("-")[0] ?? "");
    return Object.fromEntries(HABITS.map(({ name }) => [name, names.filter((one) => one === name).length]));
  }

  /** Ids in the access log; of attempts that brought no answer it has lines of another kind. */
  private async logged(): Promise<string[]> {
    const lines = (await this.sluice.accessLogText()).split("\n").slice(0, -1);
    const logged = lines.map((line) => JSON.parse(line) as { request_id: string; kind?: string });
    // A release before this one wrote no kind.
    return logged.filter(({ kind }) => kind === undefined || kind === "request").map((line) => line.request_id);
  }

  private async compare(): Promise<Pick<Report, "unbalanced" | "strangers">> {
    const audited = await this.upstream.audit();
    const stored = countsOf((await this.sluice.records(0)).map((row) => row.request_id));
    const inLog = countsOf(await this.logged());
    const whole = [...this.outcomes].flatMap(([id, fault]) => (fault === null ? [id] : []));
    const unbalanced = whole.flatMap((id) => {
      const { begun = 0, answered = 0 } = audited[id] ?? {};
      const counts = { begun, answered, stored: stored.get(id) ?? 0, logged: inLog.get(id) ?? 0 };
      return Object.values(counts).every((count) => count === 1) ? [] : [`${id}: ${JSON.stringify(counts)}`];
    });
    const known = new Set([...stored.keys(), ...inLog.keys()]);
    return { unbalanced, strangers: [...known].filter((id) => !this.outcomes.has(id)) };
  }
}

function countsOf(ids: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}
