/**
 * What reading usage out of an answer costs while it passes: the response scan (native/response.cc), against splitting the
 * stream into lines and parsing each event, and JSON.parse of a document.
 */
import { closeScan, feedScan, openScan, readUsage, SEEN_USAGE, usage } from "../../src/providers/response-scan.ts";
import { compare } from "./contest.ts";

const EVENTS = 200;
const CHUNK_EVENTS = 2;
const USAGE = '"usage":{"prompt_tokens":31,"completion_tokens":200,"total_tokens":231}';

function event(content: string): string {
  const choice = `{"index":0,"delta":{"content":"${content}"},"logprobs":null,"finish_reason":null}`;
  return `data: {"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1751328000,"model":"gpt-4o","choices":[${choice}]}\n\n`;
}

/** A stream as it arrives: some events per chunk, then usage and the end. */
function streamChunks(): Buffer[] {
  const events = Array.from({ length: EVENTS }, (_, i) => event(` token${i}`));
  const chunks = Array.from({ length: EVENTS / CHUNK_EVENTS }, (_, i) =>
    events.slice(i * CHUNK_EVENTS, (i + 1) * CHUNK_EVENTS),
  );
  return [...chunks.map((some) => some.join("")), `data: {"choices":[],${USAGE}}\n\ndata: [DONE]\n\n`].map((text) =>
    Buffer.from(text),
  );
}

function scanned(chunks: readonly Buffer[], events: boolean): number {
  const slot = openScan(events);
  let seen = 0;
  for (const chunk of chunks) seen = feedScan(slot, chunk);
  readUsage(slot);
  closeScan(slot);
  return (seen & SEEN_USAGE) === 0 ? -1 : usage.outputTokens;
}

/** Every event of a chunk parsed; chunks end between events here, which spares this side its buffer. */
function parsed(chunks: readonly Buffer[]): number {
  let tokens = -1;
  for (const chunk of chunks) {
    for (const line of chunk.toString().split("\n")) {
      if (line.startsWith("data: {"))
        tokens = JSON.parse(line.slice("data: ".length)).usage?.completion_tokens ?? tokens;
    }
  }
  return tokens;
}

const stream = streamChunks();
const answer = [Buffer.from(`{"choices":[{"message":{"content":"${"All is well. ".repeat(300)}"}}],${USAGE}}`)];
if (scanned(stream, true) !== parsed(stream) || scanned(answer, false) !== 200)
  throw new Error("the contestants disagree");

compare(`stream of ${EVENTS} events`, "JSON.parse per event", {
  "response scan": () => scanned(stream, true),
  "JSON.parse per event": () => parsed(stream),
});
const open = openScan(true);
const one = Buffer.from(event(" token"));
const none = Buffer.alloc(0);
compare("one event of a stream", "the call alone", {
  "response scan": () => feedScan(open, one),
  "the call alone": () => feedScan(open, none),
});
closeScan(open);

compare("answer of 4 KB", "JSON.parse", {
  "response scan": () => scanned(answer, false),
  "JSON.parse": () => JSON.parse(answer.join("")).usage.completion_tokens,
});
