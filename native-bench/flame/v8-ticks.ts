/**
 * Reads what `node --prof-process --preprocess` makes of V8's own log: code, and per tick the program counter, the native
 * function that a script called, if any, and the scripts' functions. Pure, but for the look-up of native names.
 */
import { builtinFrame, nativeFrame, scriptFrame, withCollector } from "./frame-name.ts";
import type { Frame, Sample } from "./stack-tree.ts";

interface Code {
  readonly name: string;
  /** JS, CODE (V8's own), SHARED_LIB. */
  readonly type: string;
}

/** `s`: pairs of a number of `code` and a place in it, the innermost first; -1 and an address for what V8 does not know. */
interface Tick {
  readonly tm: number;
  readonly vm: number;
  readonly s: readonly number[];
}

export interface Ticks {
  readonly code: readonly Code[];
  readonly ticks: readonly Tick[];
}

/** A library mapped into the process, which V8 knows only if it was there from the start. */
export interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly offset: number;
  readonly file: string;
}

export interface Surroundings {
  readonly pid: number;
  readonly thread: string;
  readonly mappings: readonly Mapping[];
  /** The function at a place of a file; "" for none. */
  symbolAt(file: string, offset: number): string;
  /** Microseconds of V8's clock; ticks outside are not of the load. */
  readonly fromUs: number;
  readonly toUs: number;
}

/** V8's state "collecting garbage", and the first of those in which it waits. */
const STATE_GC = 1;
const STATE_WAITS = 7;
/** V8 ticks by the clock on the wall: a thread that waits for events is no work. */
const WAITS = /^_*(?:epoll_p?wait|poll|pthread_cond_(?:timed)?wait|futex|syscall)/;
const COLLECTING: Frame = { name: "(garbage collector)", kind: "gc" };

export function samplesOfTicks(profile: Ticks, around: Surroundings): Sample[] {
  const ticks = profile.ticks.filter(({ tm, vm }) => tm >= around.fromUs && tm <= around.toUs && vm < STATE_WAITS);
  const stacks = ticks.map((tick) => framesOf(tick, profile.code, around));
  const working = stacks.filter((frames) => !WAITS.test(frames.at(-1)?.name ?? ""));
  return working.map((frames) => ({ pid: around.pid, thread: around.thread, frames, whole: true }));
}

/** The outermost first. */
function framesOf({ s, vm }: Tick, code: readonly Code[], around: Surroundings): Frame[] {
  const frames: Frame[] = [];
  for (let i = s.length - 2; i >= 0; i -= 2) frames.push(frameOf(code[s[i] ?? -1], s[i + 1] ?? 0, around));
  if (vm === STATE_GC) frames.splice(-1, 0, COLLECTING);
  return withCollector(frames);
}

function frameOf(code: Code | undefined, place: number, around: Surroundings): Frame {
  if (code === undefined) return frameOfAddress(place, around);
  if (code.type === "JS") return scriptFrame(code.name);
  if (code.type === "CODE") return builtinFrame(code.name);
  return nativeFrame(around.symbolAt(code.name, place), code.name);
}

function frameOfAddress(address: number, { mappings, symbolAt }: Surroundings): Frame {
  const mapping = mappings.find(({ start, end }) => address >= start && address < end);
  if (mapping === undefined) return { name: "(no name)", kind: "unknown" };
  return nativeFrame(symbolAt(mapping.file, address - mapping.start + mapping.offset), mapping.file);
}

/** The parts with code of `/proc/PID/maps`. */
export function mappingsOf(maps: string): Mapping[] {
  return maps.split("\n").flatMap((line) => {
    const [, start, end, offset, file] = /^([0-9a-f]+)-([0-9a-f]+) ..x. ([0-9a-f]+) \S+ \d+ +(\/.*)$/.exec(line) ?? [];
    if (start === undefined || end === undefined || offset === undefined || file === undefined) return [];
    const [from, to, at] = [start, end, offset].map((text) => Number.parseInt(text, 16));
    return [{ start: from ?? 0, end: to ?? 0, offset: at ?? 0, file }];
  });
}
