/**
 * `npm test`: sets the tree up and becomes the test runner over test/, or over the files and patterns given. Any Node
 * from 18 on. Two files at a time, because many of them start processes of their own; a test that hangs fails.
 */
import process from "node:process";
import { become, ROOT } from "./runtime.mjs";
import { orFail, setup } from "./setup.mjs";

const ALL = "test/**/*.test.ts";
const REPORTER = new URL("reporter.mjs", import.meta.url).href;
const RUNNER = [
  "--test",
  "--test-concurrency=3",
  "--test-timeout=300000",
  `--test-reporter=${REPORTER}`,
  "--test-reporter-destination=stdout",
];

orFail(() => {
  setup();
  process.chdir(ROOT);
  const given = process.argv.slice(2);
  become([...RUNNER, ...(given.length > 0 ? given : [ALL])]);
});
