/**
 * What systemd is told (sd_notify): readiness, a status line, and that everything is alive. Supervisor main thread. Without
 * NOTIFY_SOCKET nothing is sent. The watchdog is fed only when every worker moved its heartbeat since the last time: a
 * worker that hangs makes systemd restart the service.
 */
import process from "node:process";
import { native } from "../native/native.ts";

/** How often the status line is written where there is no watchdog, milliseconds. */
const STATUS_MS = 10_000;
const US_PER_MS = 1_000;

export interface Beat {
  /** Of a worker: its slot. */
  readonly slot: number;
  readonly beatMs: number;
}

export interface Pulse {
  /** Of every worker that serves. */
  readonly beats: readonly Beat[];
  readonly status: string;
}

export class Systemd {
  readonly #socket: string;
  readonly #pulse: () => Pulse;
  readonly #watched: boolean;
  readonly #intervalMs: number;
  #last = new Map<number, number>();
  #timer: NodeJS.Timeout | null = null;

  constructor(env: NodeJS.ProcessEnv, pulse: () => Pulse) {
    this.#socket = env["NOTIFY_SOCKET"] ?? "";
    this.#pulse = pulse;
    const watchdogMs = Number(env["WATCHDOG_USEC"] ?? 0) / US_PER_MS;
    const isOurs = env["WATCHDOG_PID"] === undefined || env["WATCHDOG_PID"] === String(process.pid);
    this.#watched = watchdogMs > 0 && isOurs;
    this.#intervalMs = this.#watched ? watchdogMs / 2 : STATUS_MS;
  }

  /** All workers serve. */
  ready(): void {
    this.#send("READY=1", `STATUS=${this.#pulse().status}`);
    this.watch();
  }

  /** From now on workers are watched. At once for the first time: the time that the program before this one left is running out. */
  watch(): void {
    if (this.#socket === "" || this.#timer !== null) return;
    this.#timer = setInterval(() => this.#tick(), this.#intervalMs);
    this.#tick();
  }

  reloading(status: string): void {
    this.#send("RELOADING=1", `STATUS=${status}`);
  }

  /** The next program has the whole interval to begin: it was tried a moment ago. */
  handingOver(): void {
    const fed = this.#watched ? ["WATCHDOG=1"] : [];
    this.#send("RELOADING=1", "STATUS=the next generation starts", ...fed);
  }

  stopping(): void {
    this.#send("STOPPING=1", "STATUS=finishing what runs");
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #tick(): void {
    const { beats, status } = this.#pulse();
    const still = beats.filter(({ slot, beatMs }) => this.#last.get(slot) === beatMs);
    this.#last = new Map(beats.map(({ slot, beatMs }) => [slot, beatMs]));
    const alarm = still.length === 0 ? "" : `; ${still.length} of the workers do not move`;
    const fed = this.#watched && still.length === 0 ? ["WATCHDOG=1"] : [];
    this.#send(`STATUS=${status}${alarm}`, ...fed);
  }

  #send(...lines: readonly string[]): void {
    if (this.#socket !== "") native.sendDatagram(this.#socket, lines.join("\n"));
  }
}
