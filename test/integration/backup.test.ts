/** `sluice backup`: what it writes is the store of one moment, taken while requests run, and a gateway goes on from it. */
import { match, strictEqual } from "node:assert/strict";
import { copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { chat } from "../support/http-client.ts";
import { startStage } from "../support/stage.ts";

const { sluice } = await startStage();
const directory = await mkdtemp(join(tmpdir(), "sluice-backup-"));
after(() => rm(directory, { recursive: true }));

/** What is in a copy: requests in detail and in sums, and what SQLite says of it. */
function contentsOf(file: string): Record<string, unknown> {
  const database = new DatabaseSync(file, { readOnly: true });
  const read = (sql: string) => Object.values(database.prepare(sql).get() ?? {})[0];
  const contents = {
    rows: read("SELECT count(*) FROM requests"),
    sums: read("SELECT coalesce(sum(requests), 0) FROM rollup_hourly"),
    check: read("PRAGMA integrity_check"),
  };
  database.close();
  return contents;
}

test("a copy that is made under load has every request of before, in detail and in sums alike", async () => {
  for (let i = 0; i < 20; i += 1) await chat(sluice);
  await sluice.records(20);
  let going = true;
  const load = (async () => {
    let asked = 0;
    for (; going; asked += 1) await chat(sluice);
    return asked;
  })();
  const file = join(directory, "usage.db");
  const { code, text } = await sluice.command("backup", file);
  going = false;
  const asked = await load;
  strictEqual(code, 0, text);
  const { rows, sums, check } = contentsOf(file);
  strictEqual(check, "ok");
  strictEqual(rows, sums);
  strictEqual(Number(rows) >= 20 && Number(rows) <= 20 + asked, true, `${rows} of ${20 + asked}`);
  strictEqual((await stat(file)).mode & 0o777, 0o600);
});

test("a gateway goes on from a copy that is alone in its data directory", async () => {
  const file = join(directory, "whole.db");
  sluice.signal("SIGTERM");
  strictEqual(await sluice.end(), 0);
  const before = (await sluice.records(20)).length;
  strictEqual((await sluice.command("backup", file)).code, 0, "also while nothing runs");
  await rm(sluice.dataDir, { recursive: true });
  await mkdir(sluice.dataDir);
  await copyFile(file, join(sluice.dataDir, "usage.db"));
  await sluice.launch();
  const { requestId } = await chat(sluice);
  await sluice.recordOf(requestId);
  strictEqual((await sluice.records(before + 1)).length, before + 1);
});

test("what exists is left as it is, and what cannot be written leaves nothing", async () => {
  const file = join(directory, "mine");
  await writeFile(file, "mine");
  const refused = await sluice.command("backup", file);
  strictEqual(refused.code, 1);
  match(refused.text, /mine exists and was left as it is/);
  strictEqual(await readFile(file, "utf8"), "mine");
  const lost = await sluice.command("backup", join(directory, "missing", "usage.db"));
  strictEqual(lost.code, 1);
  match(lost.text, /could not be written: ENOENT/);
});
