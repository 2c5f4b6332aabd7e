/** `npm start`: sets the tree up and becomes the gateway. Arguments after `--` go to `sluice serve`. Any Node from 18 on. */
import process from "node:process";
import { becomeProgram } from "./runtime.mjs";
import { orFail, setup } from "./setup.mjs";

orFail(() => {
  setup();
  becomeProgram(["serve", "--first-run", ...process.argv.slice(2)]);
});
