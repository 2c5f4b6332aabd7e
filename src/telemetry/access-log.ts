/**
 * Pool task: everything that is done to the access log. Runs beside the drain in its one thread, so that the file, and the
 * lines it could not take yet, have one owner. The supervisor's Drainer is the only caller.
 */
import { requireSameProgram } from "../base/program.ts";
import { unpackBatch } from "./batch.ts";
import { AccessLog, type HeldLines } from "./sinks/access-log.ts";
import { type Outcome, reasonLabel, reasonOf } from "./sinks/sink.ts";

requireSameProgram();

export interface AccessLogTask {
  readonly path: string;
  /**
   * `flush`: try again what could not be written; `take`: give it away instead; `hold`: begin with what was given away; `end`: there
   * is no log any more.
   */
  readonly action: "write" | "flush" | "reopen" | "take" | "hold" | "end";
  /** packBatch() for `write`, and how many records it holds. */
  readonly batch: Uint8Array | null;
  readonly records: number;
  /** For `hold`. */
  readonly held?: HeldLines;
}

export interface Taken {
  readonly kind: "taken";
  readonly held: HeldLines;
}

let log: AccessLog | null = null;

export default function accessLogTask(task: AccessLogTask): Outcome | Taken {
  try {
    if (task.action === "end") return end();
    const open = openAt(task.path);
    if (task.action === "take") return { kind: "taken", held: open.take() };
    if (task.held !== undefined) open.hold(task.held);
    if (task.batch !== null) return open.write(unpackBatch(task.batch));
    return task.action === "reopen" ? open.reopen() : open.flush();
  } catch (error) {
    return { kind: "dropped", reason: reasonLabel(reasonOf(error)), records: task.records };
  }
}

/** Another path is another log: what the old one could not take is tried once more and given up. */
function openAt(path: string): AccessLog {
  if (log?.path === path) return log;
  end();
  log = new AccessLog(path);
  return log;
}

function end(): Outcome {
  log?.flush();
  log?.close();
  log = null;
  return { kind: "written" };
}
