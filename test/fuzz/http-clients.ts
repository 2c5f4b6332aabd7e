/** node:http and undici as they are, each reading one response from a real socket. */
import { once } from "node:events";
import { request } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { Client, type Dispatcher } from "undici";
import { type Delivery, headOf, type RawResponse, type Reading } from "./http-reading.ts";

const HEADER_BYTES_MAX = 1_048_576;

/** Answers each connection with the same pieces, one write each, and ends it. */
export class PieceServer {
  readonly #server: Server = createServer((socket) => this.#answer(socket));
  #pieces: readonly Uint8Array[] = [];

  async listen(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  answerWith({ bytes, cuts }: Delivery): void {
    this.#pieces = [...cuts, bytes.length].map((to, i) => bytes.subarray(cuts[i - 1] ?? 0, to));
  }

  close(): void {
    this.#server.close();
  }

  #answer(socket: Socket): void {
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    socket.once("data", () => {
      for (const piece of this.#pieces) socket.write(piece);
      socket.end();
    });
  }
}

export type ClientReading = Pick<Reading, "outcome" | "head" | "body">;

function method(headRequest: boolean): "HEAD" | "GET" {
  return headRequest ? "HEAD" : "GET";
}

function readingOf(raw: RawResponse, body: readonly Buffer[], complete: boolean): ClientReading {
  const text = Buffer.concat(body).toString("latin1");
  return { outcome: complete ? "end" : "error", head: headOf(raw), body: text };
}

const REFUSED: ClientReading = { outcome: "error", head: null, body: "" };

export async function readWithNodeHttp(port: number, { headRequest }: Delivery): Promise<ClientReading> {
  return new Promise((resolve) => {
    const options = {
      port,
      host: "127.0.0.1",
      method: method(headRequest),
      agent: false,
      maxHeaderSize: HEADER_BYTES_MAX,
    };
    const sent = request(options, (response) => {
      const body: Buffer[] = [];
      const { statusCode: status = 0, httpVersion, rawHeaders } = response;
      const raw = { status, http10: httpVersion === "1.0", rawHeaders, headRequest };
      response.on("data", (chunk: Buffer) => body.push(chunk));
      response.on("error", () => resolve(readingOf(raw, body, false)));
      response.on("end", () => resolve(readingOf(raw, body, response.complete)));
    });
    sent.on("error", () => resolve(REFUSED));
    sent.end();
  });
}

export async function readWithUndici(port: number, { headRequest }: Delivery): Promise<ClientReading> {
  const client = new Client(`http://127.0.0.1:${port}`, { maxHeaderSize: HEADER_BYTES_MAX, pipelining: 1 });
  try {
    return await new Promise((resolve) => {
      client.dispatch({ method: method(headRequest), path: "/" }, undiciHandler(headRequest, resolve));
    });
  } finally {
    await client.destroy();
  }
}

/** undici does not tell the version of a response, and leaves blanks at the end of values. */
function undiciHandler(headRequest: boolean, resolve: (reading: ClientReading) => void): Dispatcher.DispatchHandler {
  const body: Buffer[] = [];
  let raw: RawResponse | null = null;
  const end = (complete: boolean) => resolve(raw === null ? REFUSED : readingOf(raw, body, complete));
  return {
    onRequestStart() {
      raw = null;
    },
    onResponseStart(controller, status) {
      if (status < 200) return;
      const { rawHeaders } = controller;
      const texts = Array.isArray(rawHeaders)
        ? rawHeaders.map((text) =>
            Buffer.from(text)
              .toString("latin1")
              .replace(/[ \t]+$/, ""),
          )
        : [];
      raw = { status, http10: false, rawHeaders: texts, headRequest };
    },
    onResponseData(_controller, chunk) {
      body.push(chunk);
    },
    onResponseEnd() {
      end(true);
    },
    onResponseError() {
      end(false);
    },
  };
}
