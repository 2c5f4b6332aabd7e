/**
 * The interval logs on disk: <data_dir>/hdr/sluice-<UTC>.hlog. Pool task, one at a time; the bound also once on the
 * supervisor's main thread, at start. What must stay true: the folder's logs stay within their bound, the oldest go first; what
 * was appended is whole lines; a disk that refuses leaves the log as it was.
 */
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { LogPlace } from "../../shm/histogram-reader.ts";

const NAME = /^sluice-\d{8}T\d{9}Z\.hlog$/;
const FOLDER_MODE = 0o750;
const FILE_MODE = 0o640;
/** A log has at most this part of the bound, so that making room costs little history. */
const LOGS = 8;

interface LogFile {
  readonly path: string;
  readonly bytes: number;
}

export function logFolder(dataDir: string): string {
  return join(dataDir, "hdr");
}

/** Oldest first; none when there is no folder yet. */
function listLogs(folder: string): LogFile[] {
  const entries = statSync(folder, { throwIfNoEntry: false }) === undefined ? [] : readdirSync(folder);
  const paths = entries.filter((name) => NAME.test(name)).sort();
  return paths.flatMap((name) => {
    const path = join(folder, name);
    const bytes = statSync(path, { throwIfNoEntry: false })?.size;
    return bytes === undefined ? [] : [{ path, bytes }];
  });
}

/** Removes the oldest logs until the rest has at most `bytesMax`. */
export function boundLogs(folder: string, bytesMax: number): void {
  makeRoom(listLogs(folder), bytesMax);
}

/** Removes from the front of `logs` and from the disk. */
function makeRoom(logs: LogFile[], bytesMax: number): void {
  let total = logs.reduce((sum, { bytes }) => sum + bytes, 0);
  while (total > bytesMax) {
    const oldest = logs.shift();
    if (oldest === undefined) return;
    rmSync(oldest.path, { force: true });
    total -= oldest.bytes;
  }
}

function pathOf(folder: string, fileMs: number): string {
  return join(folder, `sluice-${new Date(fileMs).toISOString().replaceAll(/[-:.]/g, "")}.hlog`);
}

export interface LogOptions {
  readonly folder: string;
  readonly diskBytes: number;
  /** Wall-clock milliseconds, for the name of a new log. */
  readonly startMs: number;
  /** What a log begins with. */
  readonly head: string;
}

export class LogFiles {
  readonly #options: LogOptions;
  /** All but the one being written. */
  readonly #others: LogFile[];
  /** Wall-clock milliseconds: the name of the log; 0: none yet. Its bytes are whole lines. */
  #fileMs: number;
  #fileBytes: number;
  #file: number | null;

  /** Goes on at `place` if that log is still there. Throws what the disk says. */
  constructor(options: LogOptions, { fileMs, fileBytes }: LogPlace) {
    this.#options = options;
    this.#fileMs = fileMs;
    mkdirSync(options.folder, { recursive: true, mode: FOLDER_MODE });
    this.#file = fileMs === 0 ? null : reopen(pathOf(options.folder, fileMs), fileBytes);
    this.#fileBytes = this.#file === null ? 0 : fileBytes;
    const own = this.#file === null ? "" : pathOf(options.folder, fileMs);
    this.#others = listLogs(options.folder).filter(({ path }) => path !== own);
  }

  get place(): LogPlace {
    return { fileMs: this.#fileMs, fileBytes: this.#fileBytes };
  }

  /** Throws when the disk refuses; then nothing was appended. */
  append(line: string): void {
    const { diskBytes, head } = this.#options;
    const bytes = Buffer.from(head + line);
    if (this.#file !== null && this.#fileBytes + bytes.length > diskBytes / LOGS) this.#endLog();
    makeRoom(this.#others, diskBytes - this.#fileBytes - bytes.length);
    this.#file ??= this.#beginLog();
    this.#write(this.#file, this.#fileBytes === 0 ? bytes : bytes.subarray(Buffer.byteLength(head)));
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }

  #endLog(): void {
    this.close();
    this.#others.push({ path: pathOf(this.#options.folder, this.#fileMs), bytes: this.#fileBytes });
    this.#fileBytes = 0;
  }

  /** Never a log that is there: a clock that was set back gives a later name. */
  #beginLog(): number {
    const { folder, startMs } = this.#options;
    this.#fileMs = Math.max(Math.floor(startMs), this.#fileMs + 1);
    while (statSync(pathOf(folder, this.#fileMs), { throwIfNoEntry: false }) !== undefined) this.#fileMs += 1;
    return openSync(pathOf(folder, this.#fileMs), "wx", FILE_MODE);
  }

  #write(file: number, bytes: Buffer): void {
    try {
      let written = 0;
      while (written < bytes.length)
        written += writeSync(file, bytes, written, bytes.length - written, this.#fileBytes + written);
    } catch (error) {
      ftruncateSync(file, this.#fileBytes);
      throw error;
    }
    this.#fileBytes += bytes.length;
  }
}

/** Without what a task that died in the middle left behind its whole lines; null: it is gone, or shorter than it was. */
function reopen(path: string, bytes: number): number | null {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return null;
  const file = openSync(path, "r+");
  if (fstatSync(file).size >= bytes) {
    ftruncateSync(file, bytes);
    return file;
  }
  closeSync(file);
  return null;
}
