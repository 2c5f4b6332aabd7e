/** The guard of a restart (native/guard.cc): whatever way the next program does not start, it is tried again, and signals wait. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ADDON_FILE } from "../../src/native/native.ts";
import { Program } from "../support/program.ts";
import { until } from "../support/until.ts";

const directory = mkdtempSync(join(tmpdir(), "sluice-guard-"));
after(() => rmSync(directory, { recursive: true }));
/** Another file than the addon of the next program, as after an upgrade: then it is another library, too. */
const GUARD = join(directory, "guard.node");
copyFileSync(ADDON_FILE, GUARD);
const HEAD = `import { createRequire } from "node:module";
import { appendFileSync, openSync, readFileSync } from "node:fs";
const native = createRequire(import.meta.url)(${JSON.stringify(ADDON_FILE)});
const note = (text) => appendFileSync(process.env.NOTES, text + "\\n");
`;
/** Hands over to NEXT: a worker is there, and the start may take a second. A SIGHUP comes in between. */
const FORMER = `${HEAD}import { spawn } from "node:child_process";
const worker = spawn("sleep", [process.env.WORKER_S], { stdio: "ignore" });
const addon = openSync(${JSON.stringify(GUARD)});
for (const descriptor of [0, 1, 2, addon]) native.keepDescriptor(descriptor, true);
note("held " + native.holdSignals());
process.kill(process.pid, "SIGHUP");
const environment = Object.entries(process.env).map(([name, value]) => name + "=" + value);
const guard = ["LD_PRELOAD=/proc/self/fd/" + addon, "SLUICE_GUARD=0 0 1 5;0 1 2 " + addon + ";;" + worker.pid];
native.replaceProcess(process.execPath, [process.execPath, process.env.NEXT], [...environment, ...guard]);
`;
/** Fails twice in its way, and then listens for signals. */
const NEXT = `${HEAD}note("started " + [process.env.LD_PRELOAD, process.env.SLUICE_GUARD]);
const FAULTS = {
  throws: () => { throw new Error("no"); },
  ends: () => process.exit(0),
  aborts: () => process.abort(),
  crashes: () => setTimeout(() => process.kill(process.pid, "SIGSEGV"), 0),
  hangs: () => { for (;;); },
};
const fault = FAULTS[process.env.FAULT];
const starts = readFileSync(process.env.NOTES, "utf8").split("started").length - 1;
if (starts <= Number(process.env.FAULTS)) {
  fault();
  await new Promise(() => setInterval(() => {}, 1_000));
}
for (const signal of ["SIGHUP", "SIGUSR2", "SIGINT", "SIGTERM"]) process.on(signal, () => note(signal));
process.on("SIGTERM", () => process.exit(0));
setInterval(() => {}, 1_000);
native.releaseSignals();
note("runs");
`;
writeFileSync(join(directory, "former.mjs"), FORMER);
writeFileSync(join(directory, "next.mjs"), NEXT);

let runs = 0;

function run(fault: string, faults: number, workerS = 300, next = join(directory, "next.mjs")) {
  runs += 1;
  const notesFile = join(directory, `notes-${runs}`);
  writeFileSync(notesFile, "");
  const env = { NOTES: notesFile, NEXT: next, FAULT: fault, FAULTS: String(faults), WORKER_S: String(workerS) };
  const program = new Program([join(directory, "former.mjs")], env);
  const notes = () => readFileSync(notesFile, "utf8").split("\n").slice(0, -1);
  return { program, notes };
}

for (const fault of ["throws", "ends", "aborts", "crashes", "hangs"]) {
  test(`a program that ${fault} at its start is tried again, in the same process, and no signal is lost`, async () => {
    const { program, notes } = run(fault, 2);
    await until("it runs", () => notes().includes("SIGHUP"));
    deepStrictEqual(notes(), ["held true", "started ,", "started ,", "started ,", "runs", "SIGHUP"]);
    match(program.stderr(), /it is tried again in 1 s.*it is tried again in 2 s/s);
    program.signal("SIGTERM");
    strictEqual(await program.end(), 0);
  });
}

test("a program that is not there is tried until it is", async () => {
  const late = join(directory, "late.mjs");
  const { program, notes } = run("throws", 0, 300, late);
  await until("it was tried", () => program.stderr().includes("it is tried again in 1 s"));
  writeFileSync(late, NEXT);
  await until("it runs", () => notes().includes("runs"));
  program.signal("SIGTERM");
  strictEqual(await program.end(), 0);
});

test("told to stop between two attempts it ends, and its workers with it", async () => {
  const { program, notes } = run("throws", 1_000);
  await until("it was tried", () => program.stderr().includes("it is tried again in 1 s"));
  program.signal("SIGTERM");
  strictEqual(await program.end(), 0);
  ok(notes().every((note) => note !== "runs"));
});

test("without a worker of the earlier generation it ends with a failure", async () => {
  const { program } = run("throws", 1_000, 1);
  strictEqual(await program.end(), 1);
});
