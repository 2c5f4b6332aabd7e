/** `sluice usage`: exact sums in the shape that was asked for, from the file the gateway writes. */
import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, type TestContext, test } from "node:test";
import { usageCommand } from "../../src/cli/usage.ts";
import { formatDollars } from "../../src/cli/usage-report.ts";
import type { DecodedRecord } from "../../src/shm/record-codec.ts";
import { KIND_HEDGE, KIND_SHADOW, KIND_TRY, USAGE_ESTIMATED } from "../../src/telemetry/record.ts";
import budgetTask from "../../src/telemetry/sinks/budget-query.ts";
import { Store, storePath } from "../../src/telemetry/sinks/store.ts";
import { decodedRecord } from "../support/sample-record.ts";

const DAY_1 = Date.UTC(2026, 0, 1, 22, 30);
const DAY_2 = Date.UTC(2026, 0, 2, 5, 30);

const RECORDS: Partial<DecodedRecord>[] = [
  { key: "alice", model: "gpt", startedAtMs: DAY_1, costNanodollars: 1_500_000_001 },
  { key: "alice", model: "gpt", startedAtMs: DAY_1, costNanodollars: 2, usageSource: USAGE_ESTIMATED },
  { key: "alice", model: "gpt", startedAtMs: DAY_2, costNanodollars: 30_000_000 },
  {
    key: "bob",
    model: 'a,"b"',
    provider: "azure",
    upstreamModel: "",
    startedAtMs: DAY_2,
    costNanodollars: 0,
    status: 502,
  },
];

const stores = new Map<string, Store>();

/** The store stays open, as that of a gateway that runs. */
function newStore(t: TestContext): string {
  const dataDir = mkdtempSync(join(tmpdir(), "sluice-usage-"));
  const store = new Store(dataDir);
  stores.set(dataDir, store);
  t.after(() => stores.delete(dataDir));
  const records = RECORDS.map((changes, seq) => decodedRecord({ seq, ...changes }));
  store.write({ ringId: "aa", committed: null, end: records.length, portions: [{ records, torn: 0 }] });
  return dataDir;
}

/** What the command prints. */
async function run(t: TestContext, ...argv: string[]): Promise<string> {
  const written = t.mock.method(process.stdout, "write", () => true);
  const errors = t.mock.method(process.stderr, "write", () => true);
  try {
    await usageCommand().exitOverride().parseAsync(argv, { from: "user" });
    return written.mock.calls.map((call) => String(call.arguments[0])).join("");
  } finally {
    written.mock.restore();
    errors.mock.restore();
  }
}

describe("sluice usage", () => {
  test("prints an aligned table by key, model and day, with exact dollars and a total", async (t) => {
    deepEqual((await run(t, "--data-dir", newStore(t))).split("\n"), [
      "key    model  day         requests  errors  input  cached  output  estimated     cost USD",
      "alice  gpt    2026-01-01         2       0   2500    2048     624      50.0%  1.500000003",
      "alice  gpt    2026-01-02         1       0   1250    1024     312         0%  0.030000000",
      'bob    a,"b"  2026-01-02         1       1   1250    1024     312         0%  0.000000000',
      "total                            4       1   5000    4096    1248      25.0%  1.530000003",
      "",
    ]);
  });

  test("works when the gateway does not run", async (t) => {
    const dataDir = newStore(t);
    stores.get(dataDir)?.close();
    match(await run(t, "--data-dir", dataDir), /^total +4 /m);
  });

  test("groups by what is asked for", async (t) => {
    const rows = JSON.parse(await run(t, "--data-dir", newStore(t), "--by", "provider,hour", "--json"));
    deepEqual(
      rows.map((row: Record<string, unknown>) => [row["provider"], row["hour"], row["requests"], row["cost_usd"]]),
      [
        ["azure", "2026-01-02T05:00Z", 1, "0.00"],
        ["openai", "2026-01-01T22:00Z", 2, "1.500000003"],
        ["openai", "2026-01-02T05:00Z", 1, "0.03"],
      ],
    );
  });

  test("groups by target: provider/model there, or the provider alone", async (t) => {
    const rows = JSON.parse(await run(t, "--data-dir", newStore(t), "--by", "target", "--json"));
    deepEqual(
      rows.map((row: Record<string, unknown>) => [row["target"], row["requests"]]),
      [
        ["azure", 1],
        ["openai/gpt-5-mini-2025-08-07", 3],
      ],
    );
  });

  test("adds what tries and hedges cost, and keeps shadow copies apart", async (t) => {
    const dataDir = newStore(t);
    const records = [KIND_TRY, KIND_HEDGE, KIND_SHADOW].map((kind, i) =>
      decodedRecord({ seq: 4 + i, kind, key: "alice", startedAtMs: DAY_2, status: 0, costNanodollars: 10 ** (7 + i) }),
    );
    stores.get(dataDir)?.write({ ringId: "aa", committed: 4, end: 7, portions: [{ records, torn: 0 }] });
    const by = async (list: string): Promise<Record<string, unknown>[]> =>
      JSON.parse(await run(t, "--data-dir", dataDir, "--key", "alice", "--by", list, "--json"));
    deepEqual(
      (await by("key")).map((row) => [row["requests"], row["errors"], row["input_tokens"], row["cost_usd"]]),
      [[3, 0, 6_250, "1.640000003"]],
    );
    deepEqual(
      (await by("kind")).map((row) => [row["kind"], row["requests"], row["cost_usd"]]),
      [
        ["hedge", 0, "0.10"],
        ["request", 3, "1.530000003"],
        ["shadow", 0, "1.00"],
        ["try", 0, "0.01"],
      ],
    );
    const used = budgetTask({ dataDir, sinceS: DAY_2 / 1_000 }).filter(({ key }) => key === "alice");
    equal(
      used.reduce((sum, { costNanodollars }) => sum + costNanodollars, 0),
      30_000_000 + 10_000_000 + 100_000_000,
    );
  });

  test("takes --by more than once as one list", async (t) => {
    const lines = await run(t, "--data-dir", newStore(t), "--by", "key", "--by", "target,key", "--csv");
    match(lines, /^key,target,requests,.*\nalice,openai\/gpt-5-mini-2025-08-07,3,.*\nbob,azure,1,/);
  });

  test("of an older layout says what to do about targets, and answers everything else", async (t) => {
    const dataDir = mkdtempSync(join(tmpdir(), "sluice-usage-"));
    const database = new DatabaseSync(storePath(dataDir));
    database.exec(readFileSync(new URL("../fixtures/usage/layout-2.sql", import.meta.url), "utf8"));
    database.close();
    match(await run(t, "--data-dir", dataDir, "--by", "key"), /^total +17 /m);
    await rejects(run(t, "--data-dir", dataDir, "--by", "kind"), { code: "store_version" });
    await rejects(run(t, "--data-dir", dataDir, "--by", "target"), {
      code: "store_version",
      message: /start the gateway/,
    });
    new Store(dataDir).close();
    match(await run(t, "--data-dir", dataDir, "--by", "target"), /^openai\/gpt-2024 +5 /m);
  });

  test("filters by time, key and model", async (t) => {
    const dataDir = newStore(t);
    const count = async (...argv: string[]) =>
      JSON.parse(await run(t, "--data-dir", dataDir, "--json", ...argv)).reduce(
        (sum: number, row: { requests: number }) => sum + row.requests,
        0,
      );
    equal(await count("--since", "2026-01-02"), 2);
    equal(await count("--until", "2026-01-02"), 2);
    equal(await count("--since", "2026-01-02T06:30:00+01:00"), 2);
    equal(await count("--since", "2026-01-02T06:00"), 0);
    equal(await count("--since", "7d"), 0);
    equal(await count("--key", "alice"), 3);
    equal(await count("--key", "alice", "--model", 'a,"b"'), 0);
  });

  test("prints CSV that holds any name", async (t) => {
    const lines = (await run(t, "--data-dir", newStore(t), "--by", "model", "--csv")).trimEnd().split("\n");
    deepEqual(lines, [
      "model,requests,errors,input_tokens,cached_tokens,output_tokens,estimated_requests,cost_usd",
      '"a,""b""",1,1,1250,1024,312,0,0.00',
      "gpt,3,0,3750,3072,936,1,1.530000003",
    ]);
  });

  test("takes the data directory from a configuration, whose credentials may be missing here", async (t) => {
    const file = join(mkdtempSync(join(tmpdir(), "sluice-usage-")), "sluice.yaml");
    const provider = "{ base_url: 'https://x.example/v1', credential: { env: NOT_SET_HERE } }";
    const text = `data_dir: ${newStore(t)}\nproviders:\n  p: ${provider}\nmodels:\n  m: { provider: p }\nkeys: []\n`;
    writeFileSync(file, text);
    match(await run(t, "--config", file), /^total +4 /m);
  });

  test("a data directory that is named goes before a configuration in the environment, and not with one beside it", async (t) => {
    const before = process.env["SLUICE_CONFIG"];
    t.after(() => {
      if (before === undefined) delete process.env["SLUICE_CONFIG"];
      else process.env["SLUICE_CONFIG"] = before;
    });
    process.env["SLUICE_CONFIG"] = "/nonexistent/sluice.yaml";
    match(await run(t, "--data-dir", newStore(t)), /^total +4 /m);
    await rejects(
      run(t, "--data-dir", newStore(t), "--config", "sluice.yaml"),
      /cannot be used with option '--config'/,
    );
  });

  test("says what is wrong: no database yet, a column or a time that does not exist", async (t) => {
    const empty = mkdtempSync(join(tmpdir(), "sluice-usage-"));
    await rejects(run(t, "--data-dir", empty), { code: "no_usage" });
    await rejects(run(t, "--data-dir", empty, "--by", "colour"), /list of key, model, provider, target, day, hour/);
    await rejects(run(t, "--data-dir", empty, "--since", "yesterday"), /7d/);
    writeFileSync(join(empty, "usage.db"), "not a database");
    await rejects(run(t, "--data-dir", empty), { code: "store_unreadable" });
  });

  test("says so when nothing was recorded in the range", async (t) => {
    equal(await run(t, "--data-dir", newStore(t), "--key", "nobody"), "No requests were recorded in this range.\n");
  });
});

describe("dollars", () => {
  const cases: [nanodollars: bigint, text: string][] = [
    [0n, "0.00"],
    [1n, "0.000000001"],
    [10_000_000n, "0.01"],
    [123_456_789_012_345_678n, "123456789.012345678"],
  ];
  for (const [nanodollars, text] of cases)
    test(`${nanodollars} nano are ${text}`, () => equal(formatDollars(nanodollars), text));
});
