/** logrotate with the package's file, against a gateway that requests come to: every line is in one of the files, and there once. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { chmodSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { parse, stringify } from "yaml";
import { findProgram } from "../support/installed.ts";
import { ROOT } from "../support/program.ts";
import { until } from "../support/until.ts";
import { InstalledMachine } from "./installed-machine.ts";

const SHIPPED = readFileSync(join(ROOT, "packaging/debian/logrotate"), "utf8");
const LOGS = "/var/log/sluice";
const ROTATIONS = 4;

/** The request ids in all files, in no order. */
function logged(machine: InstalledMachine): string[] {
  return readdirSync(machine.path(LOGS)).flatMap((name) => {
    const bytes = readFileSync(join(machine.path(LOGS), name));
    const text = (name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
    return text
      .split("\n")
      .filter(Boolean)
      .map((line) => String(JSON.parse(line).request_id));
  });
}

/** Asks until it is told to stop; the ids of all requests. */
class Client {
  readonly ids: string[] = [];
  readonly #done: Promise<void>;
  #going = true;

  constructor(url: string, key: string) {
    this.#done = this.#ask(url, key);
  }

  async stop(): Promise<readonly string[]> {
    this.#going = false;
    await this.#done;
    return this.ids;
  }

  async #ask(url: string, key: string): Promise<void> {
    while (this.#going) {
      const answer = await fetch(url, { headers: { authorization: `Bearer ${key}` } });
      await answer.arrayBuffer();
      equal(answer.status, 200);
      this.ids.push(answer.headers.get("x-request-id") ?? "");
    }
  }
}

async function loggingMachine(): Promise<InstalledMachine> {
  const machine = await InstalledMachine.open();
  const config = {
    ...parse(machine.read("/etc/sluice/sluice.yaml")),
    access_log: { path: machine.path(`${LOGS}/access.ndjson`) },
  };
  machine.write("/etc/sluice/sluice.yaml", stringify(config));
  equal((await machine.run("systemctl reload sluice")).code, 0);
  chmodSync(machine.path(LOGS), 0o750);
  return machine;
}

async function rotate(machine: InstalledMachine, logrotate: string): Promise<void> {
  const { code, stderr } = await machine.run(
    `${logrotate} --force --state ${machine.path("/state")} /etc/logrotate.d/sluice`,
  );
  equal(code, 0, stderr);
}

async function rotateUnderLoad(machine: InstalledMachine, logrotate: string): Promise<void> {
  // There is no such user here.
  machine.write("/etc/logrotate.d/sluice", machine.here(SHIPPED).replace(/^\tsu .*\n/m, ""));
  const client = new Client(machine.url("/v1/models"), machine.read("/etc/sluice/first-key").trim());
  const current = () => readdirSync(machine.path(LOGS)).includes("access.ndjson");
  for (let count = 0; count < ROTATIONS; count += 1) {
    await until("the log is written", () => current() && machine.read(`${LOGS}/access.ndjson`) !== "");
    await rotate(machine, logrotate);
  }
  const asked = await client.stop();
  ok(asked.length >= ROTATIONS);
  await until("every request is logged", () => logged(machine).length >= asked.length);
  deepEqual(logged(machine).toSorted(), asked.toSorted());
  deepEqual(readdirSync(machine.path(LOGS)).toSorted(), [
    ...["access.ndjson", "access.ndjson.1", "access.ndjson.2.gz", "access.ndjson.3.gz", "access.ndjson.4.gz"],
  ]);
}

test("no line is lost or doubled over rotations under load, where logrotate is installed", async () => {
  match(SHIPPED, /^\/var\/log\/sluice\/\*\.ndjson \{\n[\s\S]*\tsu sluice sluice\n\tpostrotate\n[\s\S]*USR2/m);
  const logrotate = findProgram("logrotate");
  if (logrotate === null) return;
  const machine = await loggingMachine();
  after(() => machine.close());
  await rotateUnderLoad(machine, logrotate);
});
