/**
 * What the symbols of a profile are called in a flame graph, and what kind of code they are. Paths are from the root of the
 * tree, so that nothing of the machine is in the page. Pure.
 */
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import type { Frame, Kind } from "./stack-tree.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Templates of templates: what a person reads stands at the beginning. */
const NAME_CHARACTERS_MAX = 200;
/** V8's mark of the compiler that made the code: interpreter, Sparkplug, Maglev, TurboFan. */
const TIER = /^[~^+*']+/;
const COLLECTOR =
  /^v8::internal::.*(?:CollectGarbage|GarbageCollect|Scaveng|Marking|MarkCompact|Sweeper|Evacuat|MinorGC|GCTracer)/;
/** What uWebSockets.js wraps a callback in; the callback is what matters. */
const WRAPPED = /^ofats::any_detail::handler_traits<.*?>::\w+_handler<(.*)>::call$/;
const LIBRARIES: readonly (readonly [RegExp, Kind])[] = [
  [/^sluice\.node$/, "addon"],
  [/^uws_/, "uws"],
  [/^node$/, "node"],
  [/^\[(?:kernel|guest\.kernel)|\.ko(?:\.\w+)?$/, "kernel"],
];

/** A function of a script: V8's mark, name, place, as in `*forward file:///x/src/pipeline/forward.ts:22:32`. */
export function scriptFrame(text: string): Frame {
  const named = text.replace(TIER, "").trim();
  const [, name = named, place = ""] = /^(.*?) ?(\S+:\d+:\d+)$/.exec(named) ?? [];
  return { name: shorten(`${name || "(anonymous)"} ${placeOf(place)}`.trim()), kind: "javascript" };
}

/** What runs has the lines of its source. The column is left out: a line is what a person looks up. */
function placeOf(place: string): string {
  const path = place.replace("file://", "").replace(/:\d+$/, "");
  const own = path.replace(ROOT, "").replace(/^lib\/(.*)\.js(?=:)/, "src/$1.ts");
  return own.replace(/^.*node_modules\//, "");
}

/** A function of a program or a library; `symbol` is "" where the library does not name it. */
export function nativeFrame(symbol: string, library: string): Frame {
  const file = basename(library);
  const kind = LIBRARIES.find(([pattern]) => pattern.test(file))?.[1] ?? "library";
  if (symbol === "") return { name: kind === "kernel" ? "[kernel]" : `[${file.replace(/[[\]]/g, "")}]`, kind };
  if (kind === "node" && symbol.startsWith("Builtins_")) return builtinFrame(symbol.slice("Builtins_".length));
  return {
    name: shorten(symbol.replace(WRAPPED, "$1")),
    kind: kind === "node" && COLLECTOR.test(symbol) ? "gc" : kind,
  };
}

/** The frames of a stack, the outermost first: what the collector calls in Node is the collector, too. */
export function withCollector(frames: readonly Frame[]): Frame[] {
  const begin = frames.findIndex(({ kind }) => kind === "gc");
  return frames.map((frame, i) =>
    begin !== -1 && i > begin && frame.kind === "node" ? { ...frame, kind: "gc" } : frame,
  );
}

/** Code that V8 brings along or makes itself, which runs in place of a script's: built-in functions, regular expressions. */
export function builtinFrame(name: string): Frame {
  return { name: shorten(`${name} [V8]`), kind: "javascript" };
}

function shorten(name: string): string {
  return name.length <= NAME_CHARACTERS_MAX ? name : `${name.slice(0, NAME_CHARACTERS_MAX - 1)}…`;
}
