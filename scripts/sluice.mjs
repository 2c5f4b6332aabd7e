#!/usr/bin/env node
/** The `sluice` command of a checkout: sets the tree up and becomes src/main.ts. Any Node from 18 on. */
import { join } from "node:path";
import process from "node:process";
import { become, ROOT } from "./runtime.mjs";
import { orFail, setup } from "./setup.mjs";

orFail(() => {
  setup();
  become([join(ROOT, "src", "main.ts"), ...process.argv.slice(2)]);
});
