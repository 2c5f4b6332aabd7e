/**
 * A provider for load tests that costs next to nothing: any POST gets one fixed chat completion of about 600 bytes with
 * usage, at once or after a fixed latency, or the same answer as a stream of N chunks. A program of its own: it prints one
 * JSON line when it listens, and ends when its stdin is closed.
 *
 * `--port N` (default: any free one), `--latency-ms N`, `--chunks N` (answers are streams), `--chunk-delay-ms N`.
 */

import { App, type HttpResponse, us_listen_socket_close, us_socket_local_port } from "uWebSockets.js";
import { parseArgs } from "node:util";
import { ANSWER, streamChunks } from "./answers.ts";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    "latency-ms": { type: "string", default: "0" },
    chunks: { type: "string", default: "0" },
    "chunk-delay-ms": { type: "string", default: "0" },
  },
});
const LATENCY_MS = Number(values["latency-ms"]);
const CHUNK_DELAY_MS = Number(values["chunk-delay-ms"]);
const CHUNKS = streamChunks(Number(values.chunks));

/** One request that is being answered; `gone` once the gateway closed its connection. */
class Answering {
  private readonly response: HttpResponse;
  private gone = false;
  private next = 0;

  constructor(response: HttpResponse) {
    this.response = response;
    response.onAborted(() => {
      this.gone = true;
    });
    response.onData((_, isLast) => {
      if (isLast) this.schedule(LATENCY_MS);
    });
  }

  /** All delays of one length share one list in Node, so that a timer per request is cheap. */
  private schedule(delayMs: number): void {
    if (delayMs > 0) setTimeout(advance, delayMs, this);
    else this.advance();
  }

  advance(): void {
    if (this.gone) return;
    this.response.cork(() => {
      if (CHUNKS.length === 0) this.sendWhole();
      else this.sendChunk();
    });
  }

  private sendWhole(): void {
    this.response.writeHeader("content-type", "application/json").end(ANSWER);
  }

  private sendChunk(): void {
    if (this.next === 0) this.response.writeHeader("content-type", "text/event-stream");
    const chunk = CHUNKS[this.next];
    this.next += 1;
    if (chunk !== undefined) this.response.write(chunk);
    if (this.next >= CHUNKS.length) this.response.end();
    else setTimeout(advance, CHUNK_DELAY_MS, this);
  }
}

function advance(answering: Answering): void {
  answering.advance();
}

const app = App();
app.any("/*", (response) => void new Answering(response));
app.listen("127.0.0.1", Number(values.port), (socket) => {
  if (socket === false) throw new Error(`port ${values.port} is taken`);
  console.log(JSON.stringify({ port: us_socket_local_port(socket), pid: process.pid }));
  process.stdin.resume().once("close", () => {
    us_listen_socket_close(socket);
    app.close();
    process.exit();
  });
});
