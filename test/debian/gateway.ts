/**
 * The gateway as the package installed it: a service of systemd with its configuration, records and log in the places of the
 * package. Runs inside the booted Debian tree, as root. What must hold: nothing but what an administrator has is used.
 */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { KEY } from "../support/config.ts";
import { childrenOf } from "../support/process-tree.ts";
import { parseMetrics, sumOf } from "../support/prometheus.ts";
import { until } from "../support/until.ts";
import { type RecordRow, readRecords } from "../support/usage-db.ts";
import { output } from "./command.ts";

export const CONFIG = "/etc/sluice/sluice.yaml";
export const STATE = "/var/lib/sluice";
const LOGS = "/var/log/sluice";
export const ACCESS_LOG = `${LOGS}/access.ndjson`;
/** Systemd's back-off, and workers that come up on a busy machine, milliseconds. */
const UP_MS_MAX = 60_000;

export class Gateway {
  /** Of the configuration of audits. */
  readonly key = KEY;
  readonly baseUrl = "http://127.0.0.1:8081/v1";
  readonly adminUrl = "http://127.0.0.1:8080";

  /** A property of the unit, as `systemctl show` has it. */
  async property(name: string): Promise<string> {
    return output("systemctl", "show", "--value", `--property=${name}`, "sluice");
  }

  async mainPid(): Promise<number> {
    return Number(await this.property("MainPID"));
  }

  async workerPids(): Promise<number[]> {
    return childrenOf(await this.mainPid(), "gateway/worker");
  }

  /** Of its workers, when none of an earlier generation is left. */
  async servingPids(): Promise<number[]> {
    return until("only workers that serve are there", async () => {
      const pids = await this.workerPids();
      return pids.length === (await this.workersUp()) ? pids : undefined;
    });
  }

  /** Whether all workers serve. */
  async isReady(): Promise<boolean> {
    const answer = await fetch(`${this.adminUrl}/health/ready`).catch(() => null);
    await answer?.arrayBuffer();
    return answer?.status === 200;
  }

  async untilReady(): Promise<void> {
    await until("the gateway is ready", () => this.isReady(), UP_MS_MAX);
  }

  /** Of the program that runs. */
  async version(): Promise<string> {
    const answer = await fetch(`${this.adminUrl}/version`);
    return ((await answer.json()) as { version: string }).version;
  }

  /** Workers that serve. */
  async workersUp(): Promise<number> {
    const page = await fetch(`${this.adminUrl}/metrics`).then((answer) => answer.text());
    return sumOf(parseMetrics(page), "sluice_workers_up", {}) ?? 0;
  }

  async configure(text: string): Promise<void> {
    await writeFile(CONFIG, text);
  }

  async configuration(): Promise<string> {
    return readFile(CONFIG, "utf8");
  }

  /** All records, once there are at least `count`, oldest first. */
  async records(count: number): Promise<RecordRow[]> {
    return until(`${count} records are stored`, () => {
      const rows = readRecords(STATE);
      return rows.length >= count ? rows : undefined;
    });
  }

  /** With what logrotate put aside. */
  async accessLogText(): Promise<string> {
    const names = (await readdir(LOGS)).filter((name) => name.startsWith("access.ndjson"));
    const texts = names.map(async (name) => {
      const bytes = await readFile(join(LOGS, name));
      return (name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
    });
    return (await Promise.all(texts)).join("");
  }
}
