#!/usr/bin/env node
/** The `sluice` command of a checkout: sets the tree up and becomes lib/main.js. Any Node from 18 on. */
import process from "node:process";
import { becomeProgram } from "./runtime.mjs";
import { orFail, setup } from "./setup.mjs";

orFail(() => {
  setup();
  becomeProgram([...process.argv.slice(2)]);
});
