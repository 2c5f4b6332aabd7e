/**
 * The flame graph as one HTML file: data, style and scripts are in it, and it loads nothing. What must hold: names of
 * functions are data and never markup. Pure, but for the scripts that it reads.
 */
import { readFileSync } from "node:fs";
import { type Kind, selfByKind, type TreeNode } from "./stack-tree.ts";

export interface Graph {
  readonly title: string;
  readonly root: TreeNode;
  /** Samples whose stack was not followed to its beginning. */
  readonly partial: number;
}

export interface Profile {
  readonly graphs: readonly Graph[];
  /** Lines above the graphs: what was run, where, and how it was sampled. */
  readonly notes: readonly string[];
}

const KINDS: Readonly<Record<Kind, readonly [name: string, colour: string]>> = {
  javascript: ["JavaScript", "#f2c14e"],
  addon: ["Sluice's addon", "#5fad56"],
  uws: ["uWebSockets.js", "#4ea5d9"],
  node: ["Node and V8", "#e07a5f"],
  gc: ["garbage collection", "#b56576"],
  library: ["C library", "#c9ada7"],
  kernel: ["kernel", "#9a8fbf"],
  unknown: ["not known", "#d3d3d3"],
  thread: ["process, thread", "#e8e8e8"],
};
/** In the order in which they build on each other; each adds to the global `d3`. */
const MODULES = [
  "array",
  "color",
  "dispatch",
  "ease",
  "format",
  "interpolate",
  "hierarchy",
  "selection",
  "time",
  "time-format",
  "timer",
  "scale",
  "transition",
];
const STYLE = `
body { font: 14px/1.4 system-ui, sans-serif; margin: 1rem 1.5rem; color: #222; background: #fff; }
h1 { font-size: 1.3rem; margin: 0 0 .3rem; } h2 { font-size: 1.05rem; margin: 1.2rem 0 .2rem; }
p { margin: .1rem 0; } figure { margin: 0; } output { display: block; min-height: 1.4em; font-family: monospace; }
.bar { position: sticky; top: 0; background: #fff; padding: .4rem 0; z-index: 1; }
.key { display: inline-block; margin-right: 1rem; } .key i { display: inline-block; width: .9em; height: .9em; margin-right: .3em; }
input { width: 22rem; font: inherit; } button { font: inherit; }
`;

export function flamePage({ graphs, notes }: Profile): string {
  const data = {
    graphs,
    colours: Object.fromEntries(Object.entries(KINDS).map(([kind, [, colour]]) => [kind, colour])),
  };
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Sluice: flame graph</title>
<style>${STYLE}</style>
<h1>Where the CPU time goes</h1>
${notes.map((note) => `<p>${escaped(note)}</p>`).join("\n")}
<p>Width is CPU time; what calls is above what it calls. Click a frame to zoom, hover for its share.</p>
<div class="bar"><input type="search" placeholder="search functions and files" aria-label="search">
<button type="button">reset</button></div>
${graphs.map(section).join("\n")}
<script type="application/json" id="data">${JSON.stringify(data).replaceAll("<", "\\u003c")}</script>
${scripts()
  .map((text) => `<script>${text}</script>`)
  .join("\n")}
</html>
`;
}

function section({ title, root, partial }: Graph): string {
  const share = (samples: number) => `${((100 * samples) / Math.max(1, root.value)).toFixed(1)} %`;
  const self = selfByKind(root);
  const keys = (Object.keys(KINDS) as Kind[]).filter((kind) => (self.get(kind) ?? 0) > 0);
  const legend = keys.map((kind) => {
    const [name, colour] = KINDS[kind];
    return `<span class="key"><i style="background:${colour}"></i>${name} ${share(self.get(kind) ?? 0)}</span>`;
  });
  return `<section><h2>${escaped(title)}</h2>
<p>${legend.join("")}</p>
<p>${root.value} samples${partial === 0 ? "" : `; the callers of ${share(partial)} are not seen: code without frame pointers is between`}.</p>
<output></output><figure></figure></section>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}

/** None of them may contain the end of a script element. */
function scripts(): string[] {
  const modules = MODULES.map((name) => `../../node_modules/d3-${name}/dist/d3-${name}.min.js`);
  const files = [...modules, "../../node_modules/d3-flame-graph/dist/d3-flamegraph.umd.min.js", "browser.js"];
  return files.map((file) => readFileSync(new URL(file, import.meta.url), "utf8").replaceAll("</script", "<\\/script"));
}
