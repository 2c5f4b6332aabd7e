/** The ring's file and records: who gets which slot, what is put aside, and what a reader never takes for a record. */
import { deepEqual, equal, match, notEqual, ok, throws } from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { RING_RECORDS } from "../../src/base/limits.ts";
import { formatAddress } from "../../src/shm/address.ts";
import { PAGE_BYTES, RING_AT, RING_FORMS, RING_MAGIC, ringBytes } from "../../src/shm/layout.ts";
import { checkOf, encodeRecord, recordViews } from "../../src/shm/record-codec.ts";
import { openRing, RingGauge, RingReader, RingWriter, slotAt } from "../../src/shm/ring.ts";
import { listRings, mapRingFile, ringsDirectory } from "../../src/shm/ring-file.ts";
import { AT } from "../../src/telemetry/record.ts";
import { sampleRecord } from "../support/sample-record.ts";

function newRing() {
  const dataDir = mkdtempSync(join(tmpdir(), "sluice-ring-"));
  const { writer } = openRing(dataDir);
  const path = join(ringsDirectory(dataDir), "ring-000.map");
  return { dataDir, writer, path, reader: new RingReader(path) };
}

/** A ring that no process holds. */
async function deadRing() {
  const dataDir = mkdtempSync(join(tmpdir(), "sluice-ring-"));
  const ring = new URL("../../src/shm/ring.ts", import.meta.url).href;
  const code = `const { openRing } = await import(${JSON.stringify(ring)}); openRing(${JSON.stringify(dataDir)});`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: "inherit" });
  await once(child, "exit");
  return { dataDir, path: join(ringsDirectory(dataDir), "ring-000.map") };
}

describe("a record", () => {
  test("comes back with every field", () => {
    const { writer, reader } = newRing();
    ok(writer.push(sampleRecord({ address: Uint8Array.of(10, 1, 2, 3), error: 60, status: 502, credential: 16 })));
    const [record] = reader.read(0, 10).records;
    const { address, requestId, key, model, upstreamModel, provider, path, ...numbers } = sampleRecord();
    deepEqual(record, {
      ...numbers,
      startedAtMs: record?.startedAtMs,
      seq: 0,
      error: 60,
      status: 502,
      credential: 16,
      address: "10.1.2.3",
      requestId,
      key: "team-search-production",
      model: "gpt-5-mini",
      upstreamModel: "gpt-5-mini-2025-08-07",
      provider: "openai",
      path,
    });
    equal(address.length, 4);
    ok(key.length + model.length + upstreamModel.length + provider.length > 0);
  });

  test("with labels and texts that do not fit keeps its other fields", () => {
    const { writer, reader } = newRing();
    const key = new Uint8Array(300).fill(65);
    ok(
      writer.push(
        sampleRecord({ key, path: `/v1/${"é".repeat(100)}`, requestId: "r".repeat(200), model: key.subarray(0, 0) }),
      ),
    );
    const [record] = reader.read(0, 1).records;
    equal(record?.key, "");
    equal(record?.model, "");
    equal(record?.path, `/v1/${"?".repeat(59)}`);
    equal(record?.requestId, "r".repeat(63));
    equal(record?.upstreamModel, "gpt-5-mini-2025-08-07");
  });

  test("holds whole numbers only, whatever was measured", () => {
    const { writer, reader } = newRing();
    writer.push(sampleRecord({ inputTokens: Number.NaN, outputTokens: -1, costNanodollars: 1e300, totalUs: 2 ** 40 }));
    const [record] = reader.read(0, 1).records;
    deepEqual(
      [record?.inputTokens, record?.outputTokens, record?.costNanodollars, record?.totalUs],
      [0, 0, Number.MAX_SAFE_INTEGER, 2 ** 32 - 1],
    );
  });

  test("that is torn is skipped and counted", () => {
    const { writer, reader, path } = newRing();
    for (let i = 0; i < 5; i += 1) writer.push(sampleRecord({ inputTokens: i }));
    const bytes = new Uint8Array(mapRingFile(path).mapping);
    const at = slotAt(2) + AT.requestId + 3;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    const batch = reader.read(0, 10);
    deepEqual(
      batch.records.map((record) => record.inputTokens),
      [0, 1, 3, 4],
    );
    deepEqual([batch.torn, batch.end], [1, 5]);
  });

  test("of an earlier lap is not read again, though it is whole", () => {
    const { writer, reader, path } = newRing();
    writer.push(sampleRecord());
    const positions = new BigInt64Array(mapRingFile(path).mapping, 0, 64);
    positions[RING_AT.write / 8] = BigInt(RING_RECORDS + 1);
    equal(reader.read(RING_RECORDS, 10).torn, 1);
  });
});

describe("a ring", () => {
  test("that is full takes nothing, and takes more after a release", () => {
    const { writer, reader } = newRing();
    for (let i = 0; i < RING_RECORDS; i += 1) ok(writer.push(sampleRecord()));
    equal(writer.push(sampleRecord()), false);
    equal(reader.writePosition(), RING_RECORDS);
    reader.release(10);
    for (let i = 0; i < 10; i += 1) ok(writer.push(sampleRecord()));
    equal(writer.push(sampleRecord()), false);
  });

  test("releases forward only, and never what was not written", () => {
    const { writer, reader } = newRing();
    for (let i = 0; i < 10; i += 1) writer.push(sampleRecord());
    reader.release(5);
    reader.release(3);
    reader.release(11);
    equal(reader.releasePosition(), 5);
  });

  test("is shared by no two holders, and each has its own file", () => {
    const { dataDir, writer } = newRing();
    const second = openRing(dataDir);
    equal(second.slot, 1);
    notEqual(second.writer.id, writer.id);
    equal(listRings(dataDir).length, 2);
  });

  test("goes on where a killed worker stopped", async () => {
    const { dataDir, path } = await deadRing();
    const before = new RingWriter(mapRingFile(path));
    for (let i = 0; i < 7; i += 1) before.push(sampleRecord({ inputTokens: i }));
    const { slot, writer, notice } = openRing(dataDir);
    deepEqual([slot, writer.id, notice], [0, before.id, null]);
    writer.push(sampleRecord({ inputTokens: 7 }));
    const numbers = new RingReader(path).read(0, 100).records.map((record) => record.inputTokens);
    deepEqual(numbers, [0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test("shows how full it is without a look at its records", () => {
    const { writer, reader, path } = newRing();
    const gauge = new RingGauge(path);
    for (let i = 0; i < 9; i += 1) writer.push(sampleRecord());
    reader.release(2);
    equal(gauge.held(), 7);
  });
});

describe("a file that is not a ring of ours", () => {
  test("is renamed with a reason, and its bytes are kept", () => {
    const dataDir = mkdtempSync(join(tmpdir(), "sluice-ring-"));
    const path = join(ringsDirectory(dataDir), "ring-000.map");
    mkdirSync(ringsDirectory(dataDir));
    writeFileSync(path, "precious");
    const { notice, writer } = openRing(dataDir);
    match(notice ?? "", /ring-000\.map was renamed to .*foreign.*: it has 8 bytes/);
    const aside = readdirSync(ringsDirectory(dataDir)).find((name) => name.includes("foreign")) ?? "";
    equal(readFileSync(join(ringsDirectory(dataDir), aside), "utf8"), "precious");
    ok(writer.push(sampleRecord()));
  });

  for (const [fault, at] of Object.entries({ magic: 0, version: 4, "record size": 12, "write position": 70 })) {
    test(`like one with another ${fault} is put aside`, async () => {
      const { dataDir, path } = await deadRing();
      const bytes = new Uint8Array(mapRingFile(path).mapping);
      bytes[at] = (bytes[at] ?? 0) ^ 0x55;
      throws(() => new RingReader(path), /ring-000\.map: /);
      match(openRing(dataDir).notice ?? "", /foreign/);
    });
  }

  test("like one that was cut is put aside, and not grown", async () => {
    const { dataDir, path } = await deadRing();
    truncateSync(path, 5_000);
    match(openRing(dataDir).notice ?? "", /it has 5000 bytes/);
  });

  test("like one of an earlier boot is left to be drained, under its own identity", async () => {
    const { dataDir, path } = await deadRing();
    const file = mapRingFile(path);
    new RingWriter(file).push(sampleRecord());
    new Uint8Array(file.mapping).fill(7, RING_AT.bootId, RING_AT.bootId + 16);
    const { writer, notice } = openRing(dataDir);
    match(notice ?? "", /earlier boot/);
    notEqual(writer.id, file.id);
    const left = join(ringsDirectory(dataDir), `ring-000.left-${file.id}.map`);
    ok(existsSync(left));
    equal(new RingReader(left).read(0, 10).records.length, 1);
    deepEqual(listRings(dataDir), [left, path].toSorted());
  });
});

describe("a ring of the release before this one", () => {
  /** As that release left it, with `count` records. */
  function formerRing(count: number) {
    const dataDir = mkdtempSync(join(tmpdir(), "sluice-ring-"));
    mkdirSync(ringsDirectory(dataDir));
    const path = join(ringsDirectory(dataDir), "ring-000.map");
    const form = RING_FORMS.get(1);
    ok(form !== undefined);
    const bytes = new ArrayBuffer(ringBytes(form));
    const header = new DataView(bytes);
    const numbers = [RING_MAGIC, 1, PAGE_BYTES, form.recordBytes, form.records];
    for (const [i, number] of numbers.entries()) header.setUint32(4 * i, number, true);
    const views = recordViews(bytes);
    for (let seq = 0; seq < count; seq += 1) {
      const at = PAGE_BYTES + seq * form.recordBytes;
      // What that release had no place for is cut off by the next one.
      encodeRecord(views, at, sampleRecord({ inputTokens: seq, decision: "of another record" }), seq);
      views.u16[(at + AT.version) >>> 1] = 1;
      views.u32[at >>> 2] = checkOf(views.u32, at, form.recordBytes);
    }
    new BigInt64Array(bytes)[RING_AT.write / 8] = BigInt(count);
    writeFileSync(path, Buffer.from(bytes));
    return { dataDir, path };
  }

  test("is read as it was written, from the first to the last of its places", () => {
    const form = RING_FORMS.get(1);
    const reader = new RingReader(formerRing(16_384).path);
    const { records, torn } = reader.read(0, 20_000);
    deepEqual([records.length, torn, reader.form], [16_384, 0, form]);
    deepEqual(
      [records[16_383]?.inputTokens, records[0]?.decision, records[0]?.path],
      [16_383, "", "/v1/chat/completions"],
    );
  });

  test("is drained separately: this release's worker makes one of its own", () => {
    const { dataDir, path } = formerRing(3);
    const { writer, notice } = openRing(dataDir);
    match(notice ?? "", /earlier version and is drained separately/);
    writer.push(sampleRecord({ decision: "limit=key" }));
    deepEqual(
      listRings(dataDir).map((ring) => new RingReader(ring).read(0, 10).records.map(({ decision }) => decision)),
      [["", "", ""], ["limit=key"]],
    );
    equal(new RingReader(path).form.recordBytes, 640);
  });
});

describe("an address", () => {
  const cases: [bytes: number[], text: string][] = [
    [[127, 0, 0, 1], "127.0.0.1"],
    [[], ""],
    [[1, 2, 3], ""],
    [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 7], "10.0.0.7"],
    [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "2001:db8::1"],
    [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "::1"],
  ];
  for (const [bytes, text] of cases) {
    test(`of ${bytes.length} bytes reads "${text}"`, () => equal(formatAddress(Uint8Array.from(bytes)), text));
  }
});
