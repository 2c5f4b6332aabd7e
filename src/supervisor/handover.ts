/**
 * What a supervisor leaves to the program that takes its place in the same process (restart.ts): a description in the
 * environment, and descriptors that stay open. Supervisor main thread. Written by one release and read by the next one:
 * HANDOVER_VERSION counts changes, and whoever cannot read a version says so in the trial, before anything is given up. What may
 * be missing needs no new version. Taking it changes nothing: a start that fails is tried again with the same (native/guard.cc).
 */
import process from "node:process";
import { CodedError } from "../base/errors.ts";
import type { Series } from "../config/series.ts";
import { native } from "../native/native.ts";
import type { LeftSocket } from "./unix-sockets.ts";

export const HANDOVER_VERSION = 1;
const STANDARD = [0, 1, 2] as const;
const HANDOVER_VARIABLE = "SLUICE_HANDOVER";
const TRIAL_VARIABLE = "SLUICE_TRIAL";

/** A process that outlives its supervisor's program. */
export interface LeftProcess {
  readonly pid: number;
  /** Its IPC channel; the end of it tells the process that it is not needed any more. */
  readonly channel: number;
}

export interface LeftWorker extends LeftProcess {
  /** Its ring and counters. */
  readonly slot: number;
}

export interface FinishingWorker extends Omit<LeftWorker, "channel"> {
  /** When it is killed, milliseconds from the handover; missing: drainMs. */
  readonly killInMs?: number;
}

export interface Handover {
  readonly version: number;
  /** Of the program that writes this; its successor is the next one. */
  readonly generation: number;
  /** Of its last configuration. */
  readonly epoch: number;
  /** Who holds the data directory. */
  readonly lock: number;
  readonly countersVersion: number;
  readonly histograms: { readonly descriptor: number; readonly version: number; readonly series: readonly Series[] };
  /** They serve until they are told. */
  readonly workers: readonly LeftWorker[];
  /** Connections that come until the next program is ready wait in it. */
  readonly admin: { readonly host: string; readonly port: number; readonly descriptor: number };
  readonly unixSockets: readonly LeftSocket[];
  /** Workers of earlier generations, which finish what runs. */
  readonly finishing: readonly FinishingWorker[];
  /** How long workers may take to finish, milliseconds. */
  readonly drainMs: number;
  /** Demo providers of this and earlier generations. */
  readonly demo: readonly LeftProcess[];
  /** A memory file (tallies.ts). */
  readonly tallies?: number;
}

/** A start that only shows that the program and its configuration work (restart.ts). */
export interface Trial {
  /** In place of data_dir, and of the directories of sockets. */
  readonly directory: string;
  /** Of the program that runs; another one cannot take over. */
  readonly dataDir: string;
  /** Ports that it has, as "host port"; others have to be free. */
  readonly ports: readonly string[];
  /** What would be handed over. */
  readonly handoverVersion: number;
}

/** NAME=value for the next program. */
export function handoverVariable(handover: Handover): string {
  return `${HANDOVER_VARIABLE}=${JSON.stringify(handover)}`;
}

/** Whether they stay open over replaceProcess(), and in children. */
export function keep(descriptors: readonly number[], stay: boolean): void {
  for (const descriptor of descriptors) native.keepDescriptor(descriptor, stay);
}

/** What was left to this program; null: it was started in the usual way. */
export function takeHandover(): Handover | null {
  const text = taken(HANDOVER_VARIABLE);
  if (text === undefined) return null;
  const handover = JSON.parse(text) as Handover;
  requireReadable(handover.version);
  keep(descriptorsOf(handover), false);
  return handover;
}

export function trialVariable(trial: Trial): string {
  return `${TRIAL_VARIABLE}=${JSON.stringify(trial)}`;
}

export function takeTrial(): Trial | null {
  const text = taken(TRIAL_VARIABLE);
  if (text === undefined) return null;
  const trial = JSON.parse(text) as Trial;
  requireReadable(trial.handoverVersion);
  return trial;
}

function requireReadable(version: number): void {
  if (version === HANDOVER_VERSION) return;
  const message = `This version cannot take over from the one that runs (handover ${version}): it needs a stop and a start.`;
  throw new CodedError("handover_unreadable", message);
}

/** No child is to see it. */
function taken(name: string): string | undefined {
  const text = process.env[name];
  delete process.env[name];
  return text;
}

/** With standard input, output and error, which Node marks to be closed. */
export function descriptorsOf({ lock, histograms, admin, unixSockets, workers, demo, tallies }: Handover): number[] {
  const sockets = unixSockets.map(({ descriptor }) => descriptor);
  return [
    ...STANDARD,
    lock,
    histograms.descriptor,
    admin.descriptor,
    ...sockets,
    ...(tallies === undefined ? [] : [tallies]),
    ...[...workers, ...demo].map(({ channel }) => channel),
  ];
}
