/**
 * Child process that drains one ring and is killed: argv is data directory, ring, and when. "commit": before the database
 * commits; "release": after that, before the ring is told; "never": drains in a loop until somebody else kills it.
 */
import { DatabaseSync } from "node:sqlite";
import { RingReader } from "../../src/shm/ring.ts";
import { drain } from "../../src/telemetry/drain.ts";

const [dataDir = "", ringPath = "", when = "never"] = process.argv.slice(2);
const die = () => process.kill(process.pid, "SIGKILL");

if (when === "release") RingReader.prototype.release = die;
if (when === "commit") {
  const exec = DatabaseSync.prototype.exec;
  DatabaseSync.prototype.exec = function (sql: string) {
    if (sql === "COMMIT" && this.prepare("SELECT count(*) AS n FROM requests").get()?.["n"]) die();
    exec.call(this, sql);
  };
}

process.stdout.write("draining\n");
do drain({ dataDir, ringPath, log: false });
while (when === "never");
