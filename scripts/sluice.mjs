#!/usr/bin/env node
/** The `sluice` command of a checkout: sets the tree up and becomes lib/main.js. Any Node from 18 on. */
import { join } from "node:path";
import process from "node:process";
import { become, LIB_DIR } from "./runtime.mjs";
import { orFail, setup } from "./setup.mjs";

orFail(() => {
  setup();
  become([join(LIB_DIR, "main.js"), ...process.argv.slice(2)]);
});
