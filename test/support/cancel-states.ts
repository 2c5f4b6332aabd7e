/**
 * Every state in which a client may leave, as a table: how a request gets there, over which transports, and what must be booked. For
 * the tests of cancelling and for the benchmark that measures how long it takes.
 */

import type { AddressInfo } from "node:net";
import { createServer, type Server, type Socket } from "node:net";
import type { Exchange } from "../../src/pipeline/exchange.ts";
import {
  PHASE_CONNECTING,
  PHASE_PAUSE,
  PHASE_QUEUED,
  PHASE_SENT,
  PHASE_STREAMING,
} from "../../src/pipeline/exchange.ts";
import { USAGE_ESTIMATED, USAGE_NONE } from "../../src/telemetry/record.ts";
import { FarEnd, fixture, type Seen } from "./far-end.ts";
import { RawClient } from "./raw-client.ts";
import { requestBytes } from "./raw-request.ts";
import { modelOf, providerConfig, RequestPath } from "./request-path.ts";
import { until } from "./until.ts";

export const WIRES = ["native", "undici", "http2"] as const;
export type WireKind = (typeof WIRES)[number];

/** More than the sockets between the two hold. */
const LARGE = 16_000_000;
const EVENT = 'data: {"choices":[{"index":0,"delta":{"content":"word"}}]}\n\n';
const JSON_TYPE = { "content-type": "application/json" };
const STREAM_TYPE = { "content-type": "text/event-stream" };

/** A request path in front of a provider of one kind. */
export class CancelStage {
  readonly path: RequestPath;
  readonly far: FarEnd;
  /** The exchange that began last. */
  exchange: Exchange | null = null;
  /** What an end of a client did with the attempt, in that call: "cancelled", "left alone", or "none" if there was none. */
  readonly ends: string[] = [];
  /** Connections that a TLS handshake was begun on and never ends. */
  readonly silent: Socket[];
  readonly #silentServer: Server;

  readonly #front: boolean;

  private constructor(path: RequestPath, far: FarEnd, silentServer: Server, silent: Socket[], front: boolean) {
    this.#front = front;
    this.path = path;
    this.far = far;
    this.silent = silent;
    this.#silentServer = silentServer;
    this.#watch();
  }

  /** `front`: its clients speak TLS. */
  static async start(kind: WireKind, front = false): Promise<CancelStage> {
    const far = await FarEnd.start(kind === "http2");
    const silent: Socket[] = [];
    const silentServer = createServer((socket) => {
      silent.push(socket.on("error", () => undefined).resume());
      socket.once("close", () => far.onCancelled());
    });
    await new Promise<void>((resolve) => silentServer.listen(0, "127.0.0.1", resolve));
    const { port } = silentServer.address() as AddressInfo;
    const wire = {
      transport: kind === "native" ? ("native" as const) : ("undici" as const),
      http2: kind === "http2",
      tls: { ca: far.ca, client: null, serverName: null },
    };
    const path = await RequestPath.start(
      { port },
      {
        bounds: { bodyBytes: 33_554_432, bodyBytesInFlight: 268_435_456, ...BOUNDS },
        retries: {
          failures: 0b111111,
          pauseMs: 3_000_000,
          pauseMaxMs: 3_000_000,
          budgetPercent: 20,
          budgetMin: 10_000,
        },
        timeouts: { ...PATIENT, drainMs: 2_000, upstreamKeepAliveMs: 60_000 },
        providers: {
          main: providerConfig(0, { ...wire, baseUrl: `${far.url}/v1` }),
          one: providerConfig(0, { ...wire, baseUrl: `${far.url}/v1` }),
          silent: providerConfig(0, { ...wire, baseUrl: `https://127.0.0.1:${port}/v1` }),
        },
        models: {
          one: modelOf("main", null),
          silent: modelOf("silent", null),
          again: { ...modelOf("main", null), attempts: 2 },
          several: {
            targets: ["m1", "m2"].map((model) => ({ provider: "main", model, weight: 1, priority: 0 })),
            strategy: "priority",
            attempts: 2,
          },
        },
      },
      front
        ? { certificates: fixture("server"), key: fixture("server.key"), named: [], clientAuthorities: null }
        : null,
    );
    return new CancelStage(path, far, silentServer, silent, front);
  }

  #watch(): void {
    const { pipeline } = this.path;
    const open = pipeline.open.bind(pipeline);
    pipeline.open = (down, startedMs) => {
      this.exchange = open(down, startedMs);
      return this.exchange;
    };
    const aborted = pipeline.onAborted.bind(pipeline);
    pipeline.onAborted = (exchange) => {
      const { attempt } = exchange;
      let what = attempt === null ? "none" : "left alone";
      if (attempt !== null) {
        const cancel = attempt.cancel.bind(attempt);
        attempt.cancel = () => {
          what = "cancelled";
          cancel();
        };
      }
      aborted(exchange);
      this.ends.push(what);
    };
  }

  /** Sends a request, or its beginning. */
  async client(body: string | Buffer, without = 0): Promise<RawClient> {
    const { port } = this.path;
    const client = this.#front
      ? await RawClient.connectTls(port, { ca: fixture("ca") })
      : await RawClient.connect(port);
    const bytes = requestBytes({ body });
    // What the kernel does not take at once goes on while the test looks.
    void client.send(bytes.subarray(0, bytes.length - without));
    return client;
  }

  async phase(phase: number): Promise<void> {
    await until(`phase ${phase}`, () => this.exchange?.phase === phase);
  }

  /** The request of this number at the provider, whole. */
  async arrived(number = 0): Promise<Seen> {
    return until(`the provider has request ${number}`, () => {
      const seen = this.far.seen[number];
      return seen?.request.complete === true ? seen : undefined;
    });
  }

  /** For another request; what is there must be over. */
  forget(): void {
    this.exchange = null;
    this.far.seen = [];
    this.silent.length = 0;
    this.ends.length = 0;
  }

  stop(): void {
    this.path.stop();
    this.far.stop();
    this.#silentServer.close();
    for (const socket of this.silent) socket.destroy();
  }
}

const BOUNDS = { jsonDepth: 64, connectionsPerProvider: 1, queuePerProvider: 8 };
/** Nothing here may end a request but its client. */
const PATIENT = {
  ...{ connectMs: 3_600_000, firstByteMs: 3_600_000, idleMs: 3_600_000 },
  ...{ totalMs: 3_600_000, queueMs: 3_600_000, stallMs: 3_600_000 },
};

export interface CancelState {
  readonly name: string;
  readonly wires: readonly WireKind[];
  /** Resolves when the request is there, with its client. */
  readonly reach: (stage: CancelStage) => Promise<RawClient>;
  /** There is something to cancel. */
  readonly attempt: boolean;
  readonly attempts: number;
  readonly usage: number;
  /** Whether the provider has seen that it is over. Not given: it never knew of it. */
  readonly seen?: (stage: CancelStage) => boolean;
  /** The provider reads only from here on. */
  readonly afterwards?: (stage: CancelStage) => void;
}

const isCut = ({ request, bytes, cancelled }: Seen): boolean =>
  cancelled && bytes < Number(request.headers["content-length"]);
const lastCancelled = ({ far }: CancelStage): boolean => far.seen.at(-1)?.cancelled === true;

/** The provider reads the request and then does this. */
function answering(answer: (seen: Seen, number: number) => void): (stage: CancelStage) => void {
  return ({ far }) => {
    far.script = (seen) => {
      const number = far.seen.length - 1;
      FarEnd.read(seen);
      seen.request.on("end", () => answer(seen, number));
    };
  };
}

function bodyOf(model: string, stream: boolean, padding = 0): string {
  const text = "x".repeat(padding);
  return `{"model":"${model}","stream":${stream},"messages":[{"role":"user","content":"Say it.${text}"}]}`;
}

/** Its answer has begun as `head` and `first` say, and does not go on. */
function begun(stream: boolean, first: string, reached: (stage: CancelStage, client: RawClient) => Promise<void>) {
  return async (stage: CancelStage): Promise<RawClient> => {
    answering(({ response }) => {
      response.writeHead(200, stream ? STREAM_TYPE : { ...JSON_TYPE, "content-length": 1_000 });
      response.write(first);
    })(stage);
    const client = await stage.client(bodyOf("one", stream));
    await reached(stage, client);
    return client;
  };
}

/** Its client does not read, and the provider writes as long as it is let. */
function unread(stream: boolean): (stage: CancelStage) => Promise<RawClient> {
  return async (stage) => {
    const piece = stream ? EVENT.repeat(1_000) : Buffer.alloc(60_000, 0x20);
    answering(({ response }) => {
      response.writeHead(200, stream ? STREAM_TYPE : { ...JSON_TYPE, "content-length": 1_000_000_000 });
      const more = () => {
        while (!response.destroyed && response.write(piece));
      };
      response.on("drain", more);
      more();
    })(stage);
    const client = await stage.client(bodyOf("one", stream));
    client.socket.pause();
    await until("the client is behind", () => stage.exchange?.down.blocked === true);
    return client;
  };
}

const WAITS_FOR_HEAD = {
  wires: WIRES,
  ...{ attempt: true, attempts: 1, usage: USAGE_ESTIMATED },
  seen: lastCancelled,
};
const ANSWERED = WAITS_FOR_HEAD;

function waitsForHead(stream: boolean) {
  return async (stage: CancelStage): Promise<RawClient> => {
    stage.far.script = FarEnd.read;
    const client = await stage.client(bodyOf("one", stream));
    await stage.arrived();
    await stage.phase(PHASE_SENT);
    return client;
  };
}

export const CANCEL_STATES: readonly CancelState[] = [
  {
    name: "its body is coming",
    wires: ["native"],
    ...{ attempt: false, attempts: 0, usage: USAGE_NONE },
    reach: async (stage) => {
      const client = await stage.client(bodyOf("one", false), 5);
      await until("its head was read", () => stage.path.pipeline.inFlight === 1);
      return client;
    },
  },
  {
    name: "it waits for a connection",
    wires: ["native", "undici"],
    ...{ attempt: true, attempts: 1, usage: USAGE_NONE },
    reach: async (stage) => {
      stage.far.script = FarEnd.read;
      await stage.client(bodyOf("one", false));
      await stage.arrived();
      const client = await stage.client(bodyOf("one", false));
      await until("it is in the queue", () => stage.path.pipeline.inFlight === 2 && stage.exchange?.attempt != null);
      await stage.phase(PHASE_QUEUED);
      return client;
    },
  },
  {
    name: "its connection is being made",
    wires: WIRES,
    ...{ attempt: true, attempts: 1, usage: USAGE_NONE },
    reach: async (stage) => {
      const client = await stage.client(bodyOf("silent", false));
      await stage.phase(PHASE_CONNECTING);
      await until("the provider has the connection", () => stage.silent.length > 0);
      return client;
    },
    seen: ({ silent }) => silent.every(({ destroyed, readableEnded }) => destroyed || readableEnded),
  },
  {
    name: "its request is being sent",
    wires: WIRES,
    ...{ attempt: true, attempts: 1, usage: USAGE_ESTIMATED },
    reach: async (stage) => {
      stage.far.script = () => undefined;
      const client = await stage.client(bodyOf("again", false, LARGE));
      await until("the provider has a part of it", () => stage.far.seen[0]);
      await stage.phase(PHASE_SENT);
      return client;
    },
    afterwards: ({ far }) => far.seen.forEach(FarEnd.read),
    seen: ({ far }) => far.seen.every(isCut),
  },
  {
    name: "its upload grows",
    wires: ["native"],
    ...{ attempt: true, attempts: 1, usage: USAGE_NONE },
    reach: async (stage) => {
      stage.far.script = FarEnd.read;
      const client = await stage.client(bodyOf("one", false, LARGE), 5);
      await until("the provider has all that there is", () => (stage.far.seen[0]?.bytes ?? 0) >= LARGE);
      return client;
    },
    seen: ({ far }) => far.seen.every(isCut),
  },
  { name: "it waits for its answer", ...WAITS_FOR_HEAD, reach: waitsForHead(false) },
  { name: "it waits for its stream", ...WAITS_FOR_HEAD, reach: waitsForHead(true) },
  {
    name: "the head of its answer has come",
    ...ANSWERED,
    reach: begun(false, "", (stage) => stage.phase(PHASE_STREAMING)),
  },
  {
    name: "the head of its stream has come",
    ...ANSWERED,
    reach: begun(true, "", (stage) => stage.phase(PHASE_STREAMING)),
  },
  {
    name: "a part of its answer has come",
    ...ANSWERED,
    reach: begun(false, '{"a":', (_stage, client) => client.sees('{"a":')),
  },
  { name: "it is streamed", ...ANSWERED, reach: begun(true, EVENT, (_stage, client) => client.sees("word")) },
  { name: "it does not read its answer", ...ANSWERED, reach: unread(false) },
  { name: "it does not read its stream", ...ANSWERED, reach: unread(true) },
  {
    name: "it pauses before a retry",
    wires: WIRES,
    ...{ attempt: false, attempts: 1, usage: USAGE_NONE },
    reach: async (stage) => {
      answering(({ response }) => response.writeHead(429, { "retry-after": "1" }).end("{}"))(stage);
      const client = await stage.client(bodyOf("again", false));
      await stage.phase(PHASE_PAUSE);
      return client;
    },
  },
  {
    name: "it pauses after a try that broke",
    wires: ["native", "undici"],
    ...{ attempt: false, attempts: 1, usage: USAGE_NONE },
    reach: async (stage) => {
      answering(({ request }) => request.socket.destroy())(stage);
      const client = await stage.client(bodyOf("again", false));
      await stage.phase(PHASE_PAUSE);
      return client;
    },
  },
  {
    name: "its second try waits",
    wires: WIRES,
    ...{ attempt: true, attempts: 2, usage: USAGE_ESTIMATED },
    reach: async (stage) => {
      answering(({ response }, number) => {
        if (number === 0) response.writeHead(500).end("{}");
      })(stage);
      const client = await stage.client(bodyOf("several", false));
      await stage.arrived(1);
      await stage.phase(PHASE_SENT);
      return client;
    },
    seen: lastCancelled,
  },
];
