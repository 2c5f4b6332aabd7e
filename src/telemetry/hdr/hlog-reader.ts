/**
 * Reads HdrHistogram interval logs of any tool, line by line: with and without tags, with absolute times or times since
 * StartTime or BaseTime, several heads in one file. Command line and benchmarks. One interval is in memory at a time.
 *
 * The last line of a log whose writer was killed is cut off: `warn` is told, and it is left out; so is such a line that the head of
 * the next start follows. Any other line that cannot be read is an error with its number.
 */
import { CodedError } from "../../base/errors.ts";
import { decodeHistogram } from "./encoding.ts";
import type { Interval } from "./hlog.ts";
import { linesOf } from "./text-lines.ts";

const HEAD = "#[Histogram log format";
const COMMENTS = /^\s*(?:$|#|"|Timestamp)/;
const START_TIME = /^#\[StartTime:\s*([\d.]+)/;
const BASE_TIME = /^#\[BaseTime:\s*([\d.]+)/;
/** Times that are this long before StartTime are not absolute: the rule of the Java reader. */
const YEAR_S = 365 * 86_400;
const MS_PER_S = 1_000;
const TAG = "Tag=";

export type Warn = (message: string) => void;

/** The intervals in the order of the file. Throws CodedErrors: hdr_unreadable, hdr_line_too_long, hdr_not_a_log, hdr_bad_line. */
export function* readHlog(path: string, warn: Warn): Generator<Interval> {
  const clock = new LogClock();
  let [known, ended] = [false, true];
  let doubtful: CodedError | null = null;
  for (const { text, number, whole } of linesOf(path)) {
    const isHead = text.startsWith(HEAD);
    if (doubtful !== null) leaveOut(doubtful, isHead, warn);
    const read = intervalOf(text, clock, `${path}:${number}`);
    doubtful = read instanceof CodedError ? read : null;
    if (doubtful !== null && !known) throw notALog(path, doubtful);
    if (read !== null && !(read instanceof CodedError)) yield read;
    known ||= isHead || read !== null;
    ended = whole;
  }
  if (doubtful !== null) leaveOut(doubtful, !ended, warn);
  if (!known) throw notALog(path);
}

function leaveOut(line: CodedError, isCutOff: boolean, warn: Warn): void {
  if (!isCutOff) throw line;
  warn(`${line.message} It was left out: its writer ended in the middle of it.`);
}

function notALog(path: string, cause?: CodedError): CodedError {
  const why = cause === undefined ? "It has neither a head nor an interval." : cause.message;
  return new CodedError("hdr_not_a_log", `${path} is not an HdrHistogram log (.hlog). ${why}`, cause);
}

/** null for a line that has none: a comment or the legend. */
function intervalOf(text: string, clock: LogClock, place: string): Interval | CodedError | null {
  if (COMMENTS.test(text)) {
    clock.read(text);
    return null;
  }
  try {
    return parsedInterval(text, clock);
  } catch (cause) {
    if (!(cause instanceof CodedError)) throw cause;
    return new CodedError("hdr_bad_line", `${place}: ${cause.message}.`, cause);
  }
}

function parsedInterval(text: string, clock: LogClock): Interval {
  const fields = text.trim().split(",");
  const tag = fields[0]?.startsWith(TAG) ? (fields.shift() ?? "").slice(TAG.length) : "";
  const [start, length, max, histogram] = fields;
  const times = [start, length, max].map(Number);
  const [startS = Number.NaN, lengthS = Number.NaN] = times;
  if (fields.length !== 4 || histogram === undefined || !times.every(Number.isFinite) || start === "" || lengthS < 0)
    throw new CodedError("hdr_bad_fields", "the line is not [Tag=tag,]start,length,max,histogram");
  const startMs = clock.unixMs(startS);
  return { tag, startMs, endMs: startMs + lengthS * MS_PER_S, histogram: decodeHistogram(histogram) };
}

/** What the times in a log are counted from. */
class LogClock {
  #startS: number | null = null;
  #baseS: number | null = null;
  #baseIsGuessed = false;

  read(comment: string): void {
    const base = BASE_TIME.exec(comment)?.[1];
    const start = START_TIME.exec(comment)?.[1];
    if (base !== undefined) {
      this.#baseS = Number(base);
      this.#baseIsGuessed = false;
    }
    if (start === undefined) return;
    this.#startS = Number(start);
    // Of the part before this head.
    if (this.#baseIsGuessed) this.#baseS = null;
  }

  unixMs(timeS: number): number {
    if (this.#baseS === null) {
      this.#baseS = this.#startS !== null && timeS < this.#startS - YEAR_S ? this.#startS : 0;
      this.#baseIsGuessed = true;
    }
    return (this.#baseS + timeS) * MS_PER_S;
  }
}
