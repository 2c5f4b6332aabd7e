/** Reads Linux's process table: children, memory and open files of the program under test. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Living child processes whose command line contains `text`. */
export function childrenOf(pid: number, text: string): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean).map(Number);
  return children.filter((child) => read(`/proc/${child}/cmdline`).replaceAll("\0", " ").includes(text));
}

/** Whether the process is there, with any of its threads: until it is reaped, its sockets may still be open. */
export function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}

/** Resident memory, bytes. */
export function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`));
  return Number(match?.[1] ?? 0) * 1_024;
}

/** What its open file descriptors are; one that is just closed is not there. */
export function filesOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((descriptor) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${descriptor}`)];
    } catch {
      return [];
    }
  });
}

/** Open file descriptors: sockets, files and pipes. */
export function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
