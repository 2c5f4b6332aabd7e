/** Both transports, for tests that hold for either: origins of their own, and an attempt's listener that writes down what it hears. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ProviderTls } from "../../src/config/snapshot.ts";
import { createCounters, openCounters } from "../../src/shm/counters.ts";
import type { Addresses } from "../../src/upstream/addresses.ts";
import { sweepDials } from "../../src/upstream/dial.ts";
import { NativeWire } from "../../src/upstream/native-wire.ts";
import { Origin } from "../../src/upstream/origin.ts";
import type { Attempt, AttemptListener, ResponseHead, UpstreamRequest } from "../../src/upstream/transport.ts";
import { UndiciWire } from "../../src/upstream/undici-wire.ts";
import type { TransportKind } from "./transport-names.ts";
import { within } from "./until.ts";

export const ANSWER = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
export const REQUEST: UpstreamRequest = {
  method: "POST",
  path: "/v1/x",
  lines: "",
  body: Buffer.from("{}"),
  bodyReady: 2,
};
/** What an attempt hears of ANSWER. */
export const GOOD = ["sent", "head 200", "{}", "end"];

const dataDir = mkdtempSync(join(tmpdir(), "sluice-transports-"));
createCounters(dataDir);
const counters = openCounters(dataDir, 0);

export const PLAIN_TLS: ProviderTls = { ca: null, client: null, serverName: null };

export interface OriginForm {
  readonly connections?: number;
  readonly queue?: number;
  readonly keepAliveMs?: number;
  readonly http2?: boolean;
  readonly proxy?: string;
  readonly proxyAuthorization?: string;
  readonly tls?: Partial<ProviderTls>;
  /** Of the native transport. */
  readonly addresses?: Addresses;
}

/** `url`: scheme, host and port. */
export function originOf(kind: TransportKind, url: string, form: OriginForm = {}): Origin {
  const { connections = 2, queue = 1, keepAliveMs = 10_000, http2 = false, proxy = null } = form;
  const { proxyAuthorization = null } = form;
  const bounds = { connections, queue, keepAliveMs };
  const tls = url.startsWith("https:") ? { ...PLAIN_TLS, ...form.tls } : null;
  // What Origin is made of does not matter to who uses it.
  if (kind === "native")
    return new Origin(new NativeWire(url, tls, form.addresses), bounds, counters) as unknown as Origin;
  const wire = new UndiciWire({ origin: url, tls, http2, proxy, proxyAuthorization, keepAliveMs });
  return new Origin(wire, bounds, counters) as unknown as Origin;
}

/** Turns the sweep until the test ends. */
export function sweeping(origin: Origin): { stop(): void } {
  const timer = setInterval(() => {
    sweepDials(performance.now());
    origin.sweep(performance.now());
  }, 20);
  return { stop: () => clearInterval(timer) };
}

/** Writes down what an attempt tells. A chunk is copied and then overwritten in the heard one's stead by the next. */
export class Heard implements AttemptListener {
  readonly events: string[] = [];
  /** A connection was made for it. */
  connecting = false;
  head: ResponseHead | null = null;
  cause = "";
  readonly chunks: Buffer[] = [];
  readonly over: Promise<void>;
  #finish: () => void = () => undefined;

  constructor() {
    this.over = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  onConnecting(): void {
    this.connecting = true;
  }

  onSent(): void {
    this.events.push("sent");
  }

  onHead(head: ResponseHead): void {
    this.head = head;
    this.events.push(`head ${head.status}`);
  }

  /** Pieces of a body that follow each other are one event. */
  onChunk(chunk: Buffer): void {
    if (this.chunks.length > 0) this.events.pop();
    this.chunks.push(Buffer.from(chunk));
    this.events.push(this.body.toString("latin1"));
  }

  get body(): Buffer {
    return Buffer.concat(this.chunks);
  }

  onEnd(): void {
    this.events.push("end");
    this.#finish();
  }

  onFail(error: { readonly code: string }, replayable: boolean, cause = ""): void {
    this.events.push(error.code + (replayable ? " replayable" : ""));
    this.cause = cause;
    this.#finish();
  }
}

/** An attempt and what it heard, when it is over. */
export async function ask(origin: Origin, request: Partial<UpstreamRequest> = {}, fresh = false): Promise<Heard> {
  const heard = new Heard();
  origin.send(requestOf(request), heard, fresh);
  await within("the end of an attempt", heard.over);
  return heard;
}

/** An attempt that goes on. */
export function begun(
  origin: Origin,
  heard: Heard = new Heard(),
  request: Partial<UpstreamRequest> = {},
): { attempt: Attempt; heard: Heard } {
  return { attempt: origin.send(requestOf(request), heard, false), heard };
}

/** With a body that is whole, if nothing else is said. */
function requestOf(request: Partial<UpstreamRequest>): UpstreamRequest {
  const made = { ...REQUEST, ...request };
  return { ...made, bodyReady: request.bodyReady ?? made.body?.length ?? 0 };
}
