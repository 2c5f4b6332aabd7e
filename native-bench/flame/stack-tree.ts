/**
 * Samples of a profile and the tree that a flame graph is drawn from: equal beginnings of stacks become one frame, which
 * is as wide as the samples that went through it. Pure.
 */

/** What a frame is made of; the page gives each a colour. */
export type Kind = "thread" | "javascript" | "addon" | "uws" | "node" | "gc" | "library" | "kernel" | "unknown";

export interface Frame {
  readonly name: string;
  readonly kind: Kind;
}

/** One look at one thread. */
export interface Sample {
  readonly pid: number;
  /** Tells the threads of a process apart: the process's number for its first, POOL_THREAD where the profiler knows. */
  readonly thread: string;
  /** The outermost first. */
  readonly frames: readonly Frame[];
  /** Whether the stack was followed to the thread's first function. */
  readonly whole: boolean;
}

export const POOL_THREAD = "pool";

/** As d3-flame-graph reads it. */
export interface TreeNode {
  readonly name: string;
  readonly kind: Kind;
  /** Samples in this frame and in what it called. */
  value: number;
  readonly children: TreeNode[];
}

/** Stands for the callers of a stack that could not be followed to its beginning. */
export const CALLERS_UNSEEN: Frame = { name: "(callers not seen)", kind: "unknown" };

export function newTree(name: string): TreeNode {
  return { name, kind: "thread", value: 0, children: [] };
}

/** Adds one sample; the outermost frame first. */
export function addStack(root: TreeNode, frames: readonly Frame[]): void {
  let node = root;
  node.value += 1;
  for (const frame of frames) {
    node = childOf(node, frame);
    node.value += 1;
  }
}

function childOf(node: TreeNode, { name, kind }: Frame): TreeNode {
  const found = node.children.find((child) => child.name === name && child.kind === kind);
  if (found !== undefined) return found;
  const child: TreeNode = { name, kind, value: 0, children: [] };
  node.children.push(child);
  return child;
}

/** Samples whose innermost frame is of a kind. */
export function selfByKind(node: TreeNode, sums = new Map<Kind, number>()): Map<Kind, number> {
  const below = node.children.reduce((sum, child) => sum + child.value, 0);
  sums.set(node.kind, (sums.get(node.kind) ?? 0) + node.value - below);
  for (const child of node.children) selfByKind(child, sums);
  return sums;
}
