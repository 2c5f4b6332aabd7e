/**
 * What the supervisor has only in its own memory and a restart must not lose: counts for /metrics, and lines of the access log
 * that could not be written. In a memory file, because the environment has room for 128 KB. Supervisor main thread. Written by
 * one release and read by the next, which takes what it knows: a part that is missing begins with zeros.
 */
import { closeSync, fstatSync, readSync, writeSync } from "node:fs";
import { native } from "../native/native.ts";
import type { Drainer, LeftDrain } from "../telemetry/drainer.ts";
import type { LatencyRotation, LeftLatencies } from "../telemetry/latency/rotation.ts";

export interface TallyParts {
  readonly drainer: Drainer;
  readonly latencies: LatencyRotation;
  /** Workers replaced, by reason. */
  readonly replaced: Map<string, number>;
}

interface Tallies {
  readonly drain?: LeftDrain;
  readonly latencies?: LeftLatencies;
  readonly replaced?: readonly (readonly [reason: string, workers: number])[];
}

/** The descriptor of a memory file. After the drainer was closed. */
export function leaveTallies({ drainer, latencies, replaced }: TallyParts): number {
  const { held, ...drain } = drainer.left;
  const lines = held === null ? null : { ...held, lines: Buffer.from(held.lines).toString("base64") };
  const tallies = { drain: { ...drain, held: lines }, latencies: latencies.left, replaced: [...replaced] };
  const text = Buffer.from(JSON.stringify(tallies));
  const descriptor = native.memoryFile("sluice-tallies", text.length);
  for (let at = 0; at < text.length; ) at += writeSync(descriptor, text, at, text.length - at, at);
  return descriptor;
}

/** Counts on from them, and closes the file. Before the drainer and the rotation start. */
export function adoptTallies(descriptor: number, { drainer, latencies, replaced }: TallyParts): void {
  const left = readTallies(descriptor);
  closeSync(descriptor);
  if (left.drain !== undefined) drainer.adopt(left.drain);
  if (left.latencies !== undefined) latencies.adopt(left.latencies);
  for (const [reason, workers] of left.replaced ?? []) replaced.set(reason, workers);
}

function readTallies(descriptor: number): Tallies {
  const text = Buffer.alloc(fstatSync(descriptor).size);
  for (let at = 0; at < text.length; ) at += readSync(descriptor, text, at, text.length - at, at);
  return JSON.parse(text.toString(), (name, value) =>
    name === "lines" && typeof value === "string" ? Buffer.from(value, "base64") : value,
  ) as Tallies;
}
