/** Making a unix socket for a group: what is said where the process is no member of it. */
import { match, strictEqual } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const directory = mkdtempSync(join(tmpdir(), "sluice-group-"));
after(() => rmSync(directory, { recursive: true }));
chmodSync(directory, 0o777);

/** As a user who is in no group of the system. */
const PROGRAM = `
  const { UnixSockets } = await import(${JSON.stringify(new URL("../../src/supervisor/unix-sockets.ts", import.meta.url).href)});
  if (process.getuid() === 0) {
    process.setgroups([]);
    process.setgid(65534);
    process.setuid(65534);
  }
  const place = { kind: "unix", path: process.argv[1], mode: 0o660, groupId: 0 };
  await UnixSockets.open([{ place, tls: null, proxies: null }]).catch(({ code, message }) => console.log(code, message));
`;

test("a group that the process is not in: the reason names the remedy, and nothing is left", () => {
  const path = join(directory, "a.sock");
  const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", PROGRAM, path];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  match(stdout, /^socket_unusable .*is not a member of group 0: SupplementaryGroups=/, stderr);
  strictEqual(existsSync(path) || existsSync(`${path}.new`), false);
});
