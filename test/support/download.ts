/** Downloads with node:http at a reader's own pace: checksum, length and whether the answer was complete. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { Sluice } from "./sluice.ts";

export interface Download {
  readonly status: number;
  readonly requestId: string;
  readonly bytes: number;
  readonly sha256: string;
  /** The framing says that all of it arrived. */
  readonly complete: boolean;
}

export interface Pace {
  /** The reader rests after each of these many bytes... */
  readonly everyBytes: number;
  /** ...for these many milliseconds: this is the pace of the reader, not a wait for anything. */
  readonly restMs: number;
}

/** As fast as it goes. */
export const UNHURRIED: Pace = { everyBytes: Number.POSITIVE_INFINITY, restMs: 0 };

export interface DownloadForm {
  readonly method: string;
  readonly path: string;
  readonly fault: string;
  readonly body?: string;
}

/** Sends the request and reads the answer at this pace; `watch` is called after each rest. */
export async function download(
  sluice: Sluice,
  form: DownloadForm,
  pace: Pace,
  watch: () => void = () => undefined,
): Promise<Download> {
  const headers = { authorization: `Bearer ${sluice.key}`, "content-type": "application/json", "x-mock": form.fault };
  const outgoing = request({ port: sluice.port, host: "127.0.0.1", method: form.method, path: form.path, headers });
  outgoing.end(form.body);
  const [response]: IncomingMessage[] = await once(outgoing, "response");
  if (response === undefined) throw new Error("no response");
  const { bytes, sha256 } = await readAtPace(response, pace, watch);
  const requestId = String(response.headers["x-request-id"]);
  return { status: response.statusCode ?? 0, requestId, bytes, sha256, complete: response.complete };
}

async function readAtPace(
  response: IncomingMessage,
  pace: Pace,
  watch: () => void,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  let rested = 0;
  for await (const chunk of response) {
    hash.update(chunk);
    bytes += chunk.length;
    if (bytes - rested < pace.everyBytes) continue;
    rested = bytes;
    await delay(pace.restMs);
    watch();
  }
  return { bytes, sha256: hash.digest("hex") };
}
