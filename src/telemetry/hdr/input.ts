/**
 * What a path on the command line stands for: an interval log (.hlog), all logs of a directory, or percentile output (.hgrm).
 * Command line and benchmarks.
 */
import { readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { CodedError } from "../../base/errors.ts";
import { type Curve, readHgrm } from "./curve.ts";
import { readHlog, type Warn } from "./hlog-reader.ts";
import { Recording } from "./recording.ts";

const LOG = ".hlog";
const PERCENTILES = ".hgrm";

/** Whether a tag is asked for. */
export type TagFilter = (tag: string) => boolean;

/** The logs that `paths` stand for; those of a directory by name, so in the order of their times. Throws hdr_unreadable. */
export function logFiles(paths: readonly string[]): string[] {
  return paths.flatMap((path) => (isDirectory(path) ? logsIn(path) : [path]));
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    // The one who opens it says what is wrong with it.
    return false;
  }
}

function logsIn(directory: string): string[] {
  const names = readdirSync(directory).filter((name) => name.endsWith(LOG));
  if (names.length === 0)
    throw new CodedError("hdr_unreadable", `${directory} has no ${LOG} files; name a directory that has, or files.`);
  return names.sort().map((name) => join(directory, name));
}

export function isPercentiles(path: string): boolean {
  return path.endsWith(PERCENTILES);
}

/** The logs of all paths, added up. */
export function record(paths: readonly string[], isAsked: TagFilter, warn: Warn): Recording {
  const recording = new Recording();
  for (const path of logFiles(paths)) {
    if (isPercentiles(path)) throw notALog(path);
    for (const interval of readHlog(path, warn)) if (isAsked(interval.tag)) recording.add(interval);
  }
  return recording;
}

function notALog(path: string): CodedError {
  return new CodedError(
    "hdr_not_a_log",
    `${path} has percentiles only, which cannot be added up; take the .hlog file.`,
  );
}

/** By tag; percentile output has the name of its file. */
export function curvesOf(path: string, isAsked: TagFilter, warn: Warn): Map<string, Curve> {
  if (isPercentiles(path)) {
    const name = basename(path, PERCENTILES);
    return new Map(isAsked(name) ? [[name, readHgrm(path)]] : []);
  }
  return new Map([...record([path], isAsked, warn).tracks].map(([tag, { sum }]) => [tag, sum]));
}

/** `*` stands for anything; no pattern takes all. */
export function tagFilter(patterns: readonly string[]): TagFilter {
  const matchers = patterns.map((pattern) => new RegExp(`^${pattern.split("*").map(quoted).join(".*")}$`, "s"));
  return (tag) => matchers.length === 0 || matchers.some((matcher) => matcher.test(tag));
}

function quoted(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
