/** The request bodies of a scenario, as files for the load generator. */
import { writeFileSync } from "node:fs";
import { chatBody } from "../chat-body.ts";
import type { RequestKind } from "./scenario.ts";

/** Streams ask for their usage, so that every contestant passes on the same events. */
const STREAMING = '{"stream":true,"stream_options":{"include_usage":true},';

export interface RequestFile {
  readonly kind: RequestKind;
  readonly path: string;
  readonly body: Buffer;
}

/** `directory`: of one contestant and one scenario, because bodies name the contestant's model. */
export function writeRequests(directory: string, model: string, kinds: readonly RequestKind[]): RequestFile[] {
  return kinds.map((kind, index) => {
    const path = `${directory}/body-${index}.json`;
    const body = bodyOf(model, kind);
    writeFileSync(path, body);
    return { kind, path, body };
  });
}

export function bodyOf(model: string, { bodyBytes, stream }: RequestKind): Buffer {
  const body = chatBody(model, bodyBytes);
  return stream ? Buffer.concat([Buffer.from(STREAMING), body.subarray(1)]) : body;
}
