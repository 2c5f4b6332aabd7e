/** A sampled heap profile as bytes per function: what each allocated itself. Pure. */
import type { HeapProfiler } from "node:inspector";
import { fileURLToPath } from "node:url";

type Node = HeapProfiler.SamplingHeapProfileNode;

export interface Site {
  readonly name: string;
  readonly bytes: number;
}

/** What runs has the lines and columns of its source. */
const ERASED = /^lib\/(.*)\.js$/;
const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Those that allocated most first. What has no place in a script is its caller's: V8 names what it does itself in brackets. */
export function sitesOf(head: Node): Site[] {
  const bytes = new Map<string, number>();
  add(head, "(no script)", bytes);
  return [...bytes].map(([name, sum]) => ({ name, bytes: sum })).toSorted((a, b) => b.bytes - a.bytes);
}

function add(node: Node, caller: string, bytes: Map<string, number>): void {
  const name = nameOf(node, caller);
  if (node.selfSize > 0) bytes.set(name, (bytes.get(name) ?? 0) + node.selfSize);
  for (const child of node.children) add(child, name, bytes);
}

function nameOf({ callFrame: { functionName, url, lineNumber } }: Node, caller: string): string {
  if (url === "") return functionName === "" || functionName.startsWith("(") ? caller : `${functionName} < ${caller}`;
  const file = url.startsWith("file:") ? fileURLToPath(url).replace(ROOT, "").replace(ERASED, "src/$1.ts") : url;
  return `${functionName === "" ? "(anonymous)" : functionName} ${file}:${lineNumber + 1}`;
}
