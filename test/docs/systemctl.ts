/** systemctl, as installed-machine.ts puts it in the way of scripts: it passes the order on to the test and ends as that says. */
import { request } from "node:http";
import process from "node:process";

const order = encodeURIComponent(process.argv.slice(2).join(" "));
const asked = request(
  { socketPath: process.env["SYSTEMD_STAND_IN"] ?? "", path: `/${order}`, method: "POST" },
  (answer) => {
    answer.pipe(process.stderr);
    answer.on("end", () => {
      process.exitCode = answer.statusCode === 200 ? 0 : 1;
    });
  },
);
asked.end();
