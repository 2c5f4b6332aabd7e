/** Exchanges for tests of single steps: of a small configuration, with a downstream that writes down what it is told. */
import { headerLines } from "../../src/base/header-lines.ts";
import { compileSnapshot } from "../../src/config/compile.ts";
import type { Config } from "../../src/config/schema.ts";
import type { Snapshot } from "../../src/config/snapshot.ts";
import { type Downstream, Exchange } from "../../src/pipeline/exchange.ts";
import { METHODS } from "../../src/telemetry/record.ts";
import { configOf, providerConfig } from "./request-path.ts";

export class SeenDown implements Downstream {
  closed = false;
  blocked = false;
  head = "";
  length = 0;
  ended = false;
  /** What came with the end. */
  last = "";
  readonly written: Buffer[] = [];

  address(): Uint8Array {
    return new Uint8Array([127, 0, 0, 1]);
  }

  reply(head: string, body: string): void {
    this.begin(head, body.length);
    this.end(Buffer.from(body));
  }

  begin(head: string, length: number): void {
    this.head = head;
    this.length = length;
  }

  write(chunk: Uint8Array): void {
    this.written.push(Buffer.from(chunk));
  }

  end(last: Uint8Array): void {
    if (last.length > 0) this.write(last);
    this.last = Buffer.from(last).toString("latin1");
    this.ended = true;
  }

  cut(): void {
    this.closed = true;
  }

  get text(): string {
    return Buffer.concat(this.written).toString("latin1");
  }
}

export function snapshotOf(
  changes: Partial<Config> = {},
  provider: Parameters<typeof providerConfig>[1] = {},
): Snapshot {
  return compileSnapshot(configOf({ main: providerConfig(9, provider) }, "/nowhere", changes), 1);
}

const standard = snapshotOf();

/** The fields of an exchange that a test sets. */
export interface ExchangeForm {
  readonly method?: string;
  readonly path?: string;
  readonly query?: string;
  readonly keyText?: string;
  readonly contentType?: string;
  readonly body?: string | Buffer;
  /** Flat list name, value. */
  readonly headers?: readonly string[];
  readonly snapshot?: Snapshot;
  readonly down?: Downstream;
}

/** As it is when its head and body were read. */
export function exchangeOf(form: ExchangeForm = {}): Exchange {
  const exchange = new Exchange(form.snapshot ?? standard, form.down ?? new SeenDown(), 0, false);
  exchange.method = form.method ?? "POST";
  exchange.methodNumber = Math.max(0, (METHODS as readonly string[]).indexOf(exchange.method));
  exchange.path = form.path ?? "/v1/chat/completions";
  exchange.query = form.query ?? "";
  exchange.keyText = form.keyText ?? "";
  exchange.contentType = form.contentType ?? "application/json";
  exchange.requestId = "req_test";
  exchange.lines = headerLines(form.headers ?? []);
  if (form.body !== undefined) giveBody(exchange, Buffer.from(form.body));
  return exchange;
}

/** In a buffer with no room behind it. */
export function giveBody(exchange: Exchange, body: Buffer): void {
  exchange.body = body;
  exchange.bodyBytes = body.length;
  exchange.contentLength = body.length;
}
