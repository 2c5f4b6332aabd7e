/** The store: rows, hourly sums and the ring's position, in one transaction or not at all. */
import { deepEqual, equal, match, throws } from "node:assert/strict";
import { mkdtempSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import type { DecodedRecord } from "../../src/shm/record-codec.ts";
import {
  FLAG_STREAM,
  FLAG_UNPRICED,
  KIND_SHADOW,
  KIND_TRY,
  USAGE_ESTIMATED,
  USAGE_NONE,
} from "../../src/telemetry/record.ts";
import { Store, type StoreBatch, storePath, storeRefusal } from "../../src/telemetry/sinks/store.ts";
import { decodedRecord } from "../support/sample-record.ts";

const HOUR_MS = 3_600_000;
const LAYOUT_2 = readFileSync(new URL("../fixtures/usage/layout-2.sql", import.meta.url), "utf8");

function newStore() {
  const dataDir = mkdtempSync(join(tmpdir(), "sluice-store-"));
  const store = new Store(dataDir);
  const database = new DatabaseSync(storePath(dataDir));
  const all = (sql: string) =>
    database
      .prepare(sql)
      .all()
      .map((row) => ({ ...row }));
  return { dataDir, store, database, all };
}

function batchOf(records: DecodedRecord[], changes: Partial<StoreBatch> = {}): StoreBatch {
  return { ringId: "aa", committed: null, end: records.length, portions: [{ records, torn: 0 }], ...changes };
}

describe("the store", () => {
  test("keeps a row per record, with names for numbers", () => {
    const { store, all } = newStore();
    const flags = FLAG_STREAM | FLAG_UNPRICED;
    deepEqual(store.write(batchOf([decodedRecord({ seq: 4, error: 60, status: 502, flags, address: "::1" })])), {
      kind: "written",
    });
    const [row] = all("SELECT * FROM requests");
    const names = [
      row?.["ring_id"],
      row?.["seq"],
      row?.["error"],
      row?.["method"],
      row?.["endpoint"],
      row?.["usage_source"],
    ];
    deepEqual(names, ["aa", 4, "upstream_cut", "POST", "chat/completions", "measured"]);
    deepEqual([row?.["stream"], row?.["unpriced"], row?.["client_aborted"], row?.["replayed"]], [1, 1, 0, 0]);
    deepEqual([row?.["input_tokens"], row?.["cost_nanodollars"], row?.["client_address"]], [1_250, 4_125_000, "::1"]);
  });

  test("sums by hour, key, model, provider and status class, over batches", () => {
    const { store, all } = newStore();
    const at = (hour: number) => hour * HOUR_MS + 5;
    store.write(
      batchOf([decodedRecord({ seq: 0, startedAtMs: at(1) }), decodedRecord({ seq: 1, startedAtMs: at(2) })]),
    );
    const later = [
      decodedRecord({ seq: 2, startedAtMs: at(2), usageSource: USAGE_ESTIMATED }),
      decodedRecord({ seq: 3, startedAtMs: at(2), status: 502 }),
      decodedRecord({ seq: 4, startedAtMs: at(2), key: "other-key" }),
    ];
    store.write(batchOf(later, { committed: 2, end: 5 }));
    const rows = all(
      "SELECT hour / 3600 AS h, key, status_class AS c, requests AS n, estimated AS e, input_tokens AS i FROM rollup_hourly ORDER BY 1, 2, 3",
    );
    const key = "team-search-production";
    deepEqual(
      rows,
      [
        { h: 1, key, c: "2xx", n: 1, e: 0, i: 1_250 },
        { h: 2, key: "other-key", c: "2xx", n: 1, e: 0, i: 1_250 },
        { h: 2, key, c: "2xx", n: 2, e: 1, i: 2_500 },
        { h: 2, key, c: "5xx", n: 1, e: 0, i: 1_250 },
      ].toSorted((a, b) => a.h - b.h || (a.key < b.key ? -1 : 1)),
    );
  });

  test("keeps attempts beside requests: no request more, but what they used", () => {
    const { store, all } = newStore();
    const kinds = [0, KIND_TRY, KIND_SHADOW].map((kind, seq) =>
      decodedRecord({ seq, kind, usageSource: USAGE_ESTIMATED, flags: FLAG_UNPRICED }),
    );
    store.write(batchOf(kinds));
    deepEqual(all("SELECT kind FROM requests"), [{ kind: "request" }]);
    deepEqual(all("SELECT kind FROM records ORDER BY seq"), [{ kind: "request" }, { kind: "try" }, { kind: "shadow" }]);
    deepEqual(all("SELECT kind, requests AS n, estimated AS e, unpriced AS u, input_tokens AS i FROM rollup_hourly"), [
      { kind: "request", n: 1, e: 1, u: 1, i: 1_250 },
      { kind: "shadow", n: 0, e: 0, u: 0, i: 1_250 },
      { kind: "try", n: 0, e: 0, u: 0, i: 1_250 },
    ]);
  });

  test("sums by target: one model that goes to two, two models that go to one", () => {
    const { store, all } = newStore();
    const routes = [
      ["fast", "openai", "gpt-1"],
      ["fast", "openai", "gpt-2"],
      ["fast", "azure", "gpt-2"],
      ["good", "azure", "gpt-2"],
      ["good", "azure", "gpt-2"],
    ];
    const records = routes.map(([model = "", provider = "", upstreamModel = ""], seq) =>
      decodedRecord({ seq, model, provider, upstreamModel }),
    );
    store.write(batchOf(records));
    deepEqual(
      all("SELECT model, provider, upstream_model, requests FROM rollup_hourly").map((row) =>
        Object.values(row).join(),
      ),
      ["fast,azure,gpt-2,1", "fast,openai,gpt-1,1", "fast,openai,gpt-2,1", "good,azure,gpt-2,2"],
    );
  });

  test("adds amounts beyond 2^53 exactly", () => {
    const { store, database } = newStore();
    const most = Number.MAX_SAFE_INTEGER;
    store.write(batchOf([decodedRecord({ seq: 0, costNanodollars: most })]));
    store.write(batchOf([decodedRecord({ seq: 1, costNanodollars: most })], { committed: 1, end: 2 }));
    const sum = database.prepare("SELECT cost_nanodollars FROM rollup_hourly");
    sum.setReadBigInts(true);
    equal(sum.get()?.["cost_nanodollars"], 2n * BigInt(most));
  });

  test("takes a batch once: a second drain of the same position is held", () => {
    const { store, all } = newStore();
    const batch = batchOf([decodedRecord({ seq: 0 })]);
    equal(store.write(batch).kind, "written");
    const again = store.write(batch);
    match(again.kind === "held" ? again.reason : "", /another process/);
    deepEqual(all("SELECT requests FROM rollup_hourly"), [{ requests: 1 }]);
    equal(store.position("aa"), 1);
  });

  test("neither doubles nor sums a row that is there already", () => {
    const { store, database, all } = newStore();
    store.write(batchOf([decodedRecord({ seq: 0 })]));
    database.exec("DELETE FROM ring_offsets");
    equal(store.write(batchOf([decodedRecord({ seq: 0 }), decodedRecord({ seq: 1 })])).kind, "written");
    deepEqual(all("SELECT requests FROM rollup_hourly"), [{ requests: 2 }]);
  });

  test("changes nothing when a part fails, and goes on when the fault is gone", () => {
    const { store, database, all } = newStore();
    database.exec("ALTER TABLE rollup_hourly RENAME TO gone");
    const batch = batchOf([decodedRecord({ seq: 0 })]);
    equal(store.write(batch).kind, "held");
    deepEqual(all("SELECT * FROM requests"), []);
    equal(store.position("aa"), null);
    deepEqual(all("SELECT * FROM label_sets"), []);
    database.exec("ALTER TABLE gone RENAME TO rollup_hourly");
    equal(store.write(batch).kind, "written");
    deepEqual(all("SELECT seq, key FROM requests"), [{ seq: 0, key: "team-search-production" }]);
  });

  test("keeps what requests have in common once, also over restarts", () => {
    const { dataDir, store, all } = newStore();
    const records = [0, 1, 2].map((seq) => decodedRecord({ seq, status: seq === 2 ? 502 : 200, inputTokens: seq }));
    store.write(batchOf(records));
    store.close();
    new Store(dataDir).write(batchOf([decodedRecord({ seq: 3 })], { committed: 3, end: 4 }));
    deepEqual(all("SELECT count(*) AS n FROM label_sets"), [{ n: 2 }]);
    deepEqual(all("SELECT seq, status FROM requests ORDER BY seq"), [
      { seq: 0, status: 200 },
      { seq: 1, status: 200 },
      { seq: 2, status: 502 },
      { seq: 3, status: 200 },
    ]);
  });

  test("tells requests apart that differ in a single label", () => {
    const { store, all } = newStore();
    const changes: Partial<DecodedRecord>[] = [
      {},
      { key: "k" },
      { model: "m" },
      { upstreamModel: "u" },
      { provider: "p" },
      { path: "/v1/other" },
      { status: 201 },
      { upstreamStatus: 201 },
      { error: 60 },
      { flags: FLAG_UNPRICED },
      { method: 1 },
      { endpoint: 2 },
      { attempts: 2 },
      { usageSource: USAGE_ESTIMATED },
      { kind: KIND_TRY },
    ];
    store.write(batchOf(changes.map((change, seq) => decodedRecord({ seq, ...change }))));
    const labels = `key, model, upstream_model, provider, path, status, upstream_status, error, stream, unpriced, method,
      endpoint, attempts, usage_source, kind`;
    equal(all(`SELECT DISTINCT ${labels} FROM records`).length, changes.length);
  });

  test("knows the credential of those that had a choice of them", () => {
    const { store, all } = newStore();
    store.write(batchOf([0, 3].map((credential, seq) => decodedRecord({ seq, credential }))));
    deepEqual(all("SELECT credential FROM requests ORDER BY seq"), [{ credential: null }, { credential: 3 }]);
  });

  test("keeps rows with more labels than it knows at a time, in portions of any size", () => {
    const { store, all } = newStore();
    const records = Array.from({ length: 5_000 }, (_, seq) => decodedRecord({ seq, model: `m${seq % 2_500}` }));
    const sizes = [1, 31, 32, 33, 0, 903, 4_000];
    const begins = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + size, 0));
    const portions = begins.map((begin, i) => ({ records: records.slice(begin, begin + (sizes[i] ?? 0)), torn: 1 }));
    equal(store.write(batchOf(records, { portions })).kind, "written");
    deepEqual([store.written().records, store.written().torn], [5_000, 7]);
    deepEqual(all("SELECT count(*) AS n FROM requests WHERE model = 'm' || (seq % 2500)"), [{ n: 5_000 }]);
    deepEqual(all("SELECT count(*) AS n FROM label_sets"), [{ n: 2_500 }]);
  });

  test("is for its owner's eyes only", () => {
    const { dataDir } = newStore();
    equal(statSync(storePath(dataDir)).mode & 0o077, 0);
  });

  for (const version of [1, 99]) {
    test(`of layout ${version} is refused`, () => {
      const { dataDir, database } = newStore();
      database.exec(`PRAGMA user_version = ${version}`);
      throws(() => new Store(dataDir), { code: "store_version" });
      match(storeRefusal(dataDir) ?? "", version === 99 ? /a newer release/ : /before the first release/);
    });
  }

  test("that can be used, or that is not there, is not refused", () => {
    const { dataDir, database } = newStore();
    equal(storeRefusal(dataDir), null);
    database.exec("PRAGMA user_version = 2");
    equal(storeRefusal(dataDir), null, "it is brought up to date");
    equal(storeRefusal("/nonexistent"), null);
  });
});

describe("a store of layout 2", () => {
  function oldStore() {
    const dataDir = mkdtempSync(join(tmpdir(), "sluice-store-"));
    const database = new DatabaseSync(storePath(dataDir));
    database.exec(LAYOUT_2);
    const texts = (sql: string) => {
      const statement = database.prepare(sql);
      statement.setReadBigInts(true);
      return statement.all().map((row) => Object.values(row).join());
    };
    return { dataDir, texts };
  }

  test("keeps every sum, and says the target where there was only one", () => {
    const { dataDir, texts } = oldStore();
    const sums = `requests, estimated, unpriced, input_tokens, cached_tokens, output_tokens, reasoning_tokens,
      cost_nanodollars, request_bytes, response_bytes`;
    const rows = `SELECT hour, key, model, provider, status_class, ${sums} FROM rollup_hourly ORDER BY 1, 2, 3, 4, 5`;
    const before = texts(rows);
    new Store(dataDir).close();
    deepEqual(texts(rows), before);
    deepEqual(texts("SELECT DISTINCT kind FROM rollup_hourly UNION SELECT kind FROM requests"), ["request"]);
    deepEqual(
      texts("SELECT hour / 3600, key, model, upstream_model, status_class FROM rollup_hourly ORDER BY 2, 3, 5, 1"),
      [
        "2,alice,gpt,gpt-2024,2xx",
        "3,alice,gpt,gpt-2024,2xx",
        "2,alice,gpt,,4xx",
        "2,alice,mini,,2xx",
        "2,bob,gone,,none",
        "2,bob,gpt,gpt-2024,4xx",
        "2,bob,other,,4xx",
      ],
    );
    deepEqual(texts("SELECT name FROM sqlite_schema WHERE name LIKE '%rollup%' AND type = 'table'"), ["rollup_hourly"]);
  });

  test("goes on as one of this layout, also when two open it at once", () => {
    const { dataDir, texts } = oldStore();
    const [store] = [new Store(dataDir), new Store(dataDir)];
    equal(store?.position("aa"), 40);
    const records = [
      decodedRecord({ seq: 40, startedAtMs: 2 * HOUR_MS, key: "alice", model: "mini", upstreamModel: "m" }),
    ];
    equal(store.write(batchOf(records, { committed: 40, end: 41 })).kind, "written");
    const mini = "SELECT upstream_model, requests FROM rollup_hourly WHERE model = 'mini' ORDER BY 1";
    deepEqual(texts(mini), [",4", "m,1"]);
    deepEqual(texts("SELECT seq, model FROM requests ORDER BY 1"), ["39,gpt", "40,mini"]);
  });

  test("has the same tables afterwards as a new one", () => {
    const columnsOf = (dataDir: string) => {
      const database = new DatabaseSync(storePath(dataDir));
      const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type <> 'index' ORDER BY name").all();
      return tables.map(({ name }) => [name, database.prepare(`PRAGMA table_info(${String(name)})`).all()]);
    };
    const { dataDir } = oldStore();
    new Store(dataDir).close();
    deepEqual(columnsOf(dataDir), columnsOf(newStore().dataDir));
  });
});

describe("a model name in the sums", () => {
  /** Labels after requests with these models, statuses and usage sources, one batch each. */
  function labelsAfter(...requests: [model: string, status: number, usageSource?: number][]): unknown[] {
    const { store, all } = newStore();
    requests.forEach(([model, status, usageSource = USAGE_NONE], seq) => {
      const committed = seq === 0 ? null : seq;
      store.write(batchOf([decodedRecord({ seq, model, status, usageSource })], { committed, end: seq + 1 }));
    });
    return all("SELECT model, sum(requests) AS n FROM rollup_hourly GROUP BY model ORDER BY model").map((row) =>
      Object.values(row),
    );
  }

  test("that was invented and refused is 'other'", () => {
    deepEqual(labelsAfter(["made-up-1", 404], ["made-up-2", 400], ["made-up-1", 403]), [["other", 3]]);
  });
  test("that worked once keeps its name, also when it is refused later", () => {
    deepEqual(labelsAfter(["gpt", 200], ["gpt", 429], ["gpt", 400]), [["gpt", 3]]);
  });
  test("that used tokens keeps its name, though the client left", () => {
    deepEqual(labelsAfter(["gpt", 499, USAGE_ESTIMATED]), [["gpt", 1]]);
  });
  test("whose provider fails keeps its name", () => deepEqual(labelsAfter(["gpt", 502]), [["gpt", 1]]));
  test("that went upstream as it was is bounded there as well", () => {
    const { store, all } = newStore();
    const records = ["made-up-1", "made-up-2"].map((model, seq) =>
      decodedRecord({ seq, model, upstreamModel: model, status: 404, usageSource: USAGE_NONE }),
    );
    store.write(batchOf(records));
    deepEqual(all("SELECT model, upstream_model, requests FROM rollup_hourly"), [
      { model: "other", upstream_model: "other", requests: 2 },
    ]);
  });
  test("that is missing stays empty", () => deepEqual(labelsAfter(["", 404]), [["", 1]]));
});
