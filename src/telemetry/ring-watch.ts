/**
 * Which rings have something to drain. Supervisor main thread, a few times a second: it maps the header page of each ring,
 * so that an idle gateway wakes no pool thread. Synchronous on purpose: one readdir and a stat per ring take microseconds,
 * and nothing on this thread serves traffic.
 */
import { statSync } from "node:fs";
import { RingGauge } from "../shm/ring.ts";
import { isLeftRing, listRings } from "../shm/ring-file.ts";

interface Watched {
  readonly ino: number;
  /** null: the file is not a ring; that was reported. */
  readonly gauge: RingGauge | null;
}

export class RingWatch {
  readonly #dataDir: string;
  readonly #onError: (error: unknown) => void;
  #watched = new Map<string, Watched>();

  /** `onError` is told once about each file that is not a ring. */
  constructor(dataDir: string, onError: (error: unknown) => void) {
    this.#dataDir = dataDir;
    this.#onError = onError;
  }

  /** Paths of all rings that hold at least so many records. */
  holding(recordsMin: number): string[] {
    const watched = new Map<string, Watched>();
    for (const path of listRings(this.#dataDir)) {
      const entry = this.#entryOf(path);
      if (entry !== null) watched.set(path, entry);
    }
    this.#watched = watched;
    return [...watched]
      .filter(([path, { gauge }]) => gauge !== null && hasWork(path, gauge, recordsMin))
      .map(([path]) => path);
  }

  /** A worker may put a ring aside and make a new one at any time: the inode tells. */
  #entryOf(path: string): Watched | null {
    const ino = statSync(path, { throwIfNoEntry: false })?.ino;
    if (ino === undefined) return null;
    const known = this.#watched.get(path);
    return known?.ino === ino ? known : { ino, gauge: this.#open(path) };
  }

  #open(path: string): RingGauge | null {
    try {
      return new RingGauge(path);
    } catch (error) {
      this.#onError(error);
      return null;
    }
  }
}

/** A ring left by an earlier boot is drained once even if it looks empty: that is what deletes it. */
function hasWork(path: string, gauge: RingGauge, recordsMin: number): boolean {
  return gauge.held() >= recordsMin || isLeftRing(path);
}
