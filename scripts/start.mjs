/** `npm start`: sets the tree up and becomes the gateway. Arguments after `--` go to `sluice serve`. Any Node from 18 on. */
import { join } from "node:path";
import process from "node:process";
import { become, LIB_DIR } from "./runtime.mjs";
import { orFail, setup } from "./setup.mjs";

orFail(() => {
  setup();
  become([join(LIB_DIR, "main.js"), "serve", "--first-run", ...process.argv.slice(2)]);
});
