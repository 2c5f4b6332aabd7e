/** Reload with real files: what takes effect, what is refused, what has to wait for the next start. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { logTo } from "../../src/base/log.ts";
import { loadConfig } from "../../src/config/load.ts";
import { Reloader } from "../../src/supervisor/reload.ts";
import type { Configured } from "../../src/supervisor/worker-process.ts";

const directory = await mkdtemp(join(tmpdir(), "sluice-reload-"));
after(() => rm(directory, { recursive: true }));
const configPath = join(directory, "sluice.yaml");

function yaml(extra = "", model = "m"): string {
  return `providers:\n  p: { base_url: "http://127.0.0.1:1/v1" }\nmodels:\n  ${model}: { provider: p }\n${extra}`;
}

async function reloader(apply?: (next: Configured) => Promise<readonly number[]>) {
  await writeFile(configPath, yaml());
  const applied: Configured[] = [];
  const lines: string[] = [];
  const record = async (next: Configured) => {
    applied.push(next);
    return apply === undefined ? [] : apply(next);
  };
  const subject = new Reloader({
    configPath,
    env: {},
    log: logTo({ write: (line) => void lines.push(line) }, "supervisor", "debug"),
    current: { epoch: 1, config: loadConfig(configPath, {}) },
    complete: async (config) => config,
    apply: record,
  });
  return { subject, applied, log: () => lines.join("") };
}

test("a changed file is applied under the next epoch", async () => {
  const { subject, applied, log } = await reloader();
  await writeFile(configPath, yaml("", "another"));
  await subject.reload();
  await subject.reload();
  assert.deepEqual(
    applied.map(({ epoch }) => epoch),
    [2, 3],
  );
  assert.deepEqual(Object.keys(subject.config.models), ["another"]);
  assert.match(log(), /configuration reloaded/);
});

test("a file with a mistake changes nothing and is named with line and column", async () => {
  const { subject, applied, log } = await reloader();
  await writeFile(configPath, yaml("wrokers: 2\n"));
  await subject.reload();
  assert.equal(applied.length, 0);
  assert.match(log(), /reload refused/);
  assert.match(log(), /sluice\.yaml:5:1: .*wrokers/);
  assert.deepEqual(Object.keys(subject.config.models), ["m"]);
});

test("a file that is gone changes nothing", async () => {
  const { subject, applied, log } = await reloader();
  await rm(configPath);
  await subject.reload();
  assert.equal(applied.length, 0);
  assert.match(log(), /reload refused/);
});

test("what cannot change at run time is named and keeps its value", async () => {
  const { subject, applied, log } = await reloader();
  const fixed = "listen: 127.0.0.1:9999\nadmin: { listen: 127.0.0.1:9998 }\nworkers: 7\ndata_dir: elsewhere\n";
  await writeFile(configPath, yaml(fixed));
  await subject.reload();
  assert.match(log(), /"settings":\["listen","admin.listen","workers","data_dir"\]/);
  const [next] = applied;
  assert.deepEqual(
    next?.config.listen.map(({ place }) => place),
    [{ kind: "tcp", host: "127.0.0.1", port: 8081 }],
  );
  assert.equal(next?.config.workers, null);
  assert.equal(next?.config.dataDir, join(directory, "data"));
});

test("workers that did not confirm are in the log", async () => {
  const { subject, log } = await reloader(async () => [4711]);
  await subject.reload();
  assert.match(log(), /4711/);
});

test("reloads asked for while one runs become one more", async () => {
  let release: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { subject, applied } = await reloader(async () => gate.then(() => []));
  const all = [subject.reload(), subject.reload(), subject.reload()];
  release();
  await Promise.all(all);
  assert.equal(applied.length, 2);
});
