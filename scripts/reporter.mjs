/**
 * The runner's own "spec" report with its counts at the very end, behind the list of failures, where people and programs
 * look for them. Loaded by the test runner in the project's runtime.
 */
import { Readable } from "node:stream";
import { spec } from "node:test/reporters";

const COUNT = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/;

export default async function* report(events) {
  const counts = [];
  yield* Readable.from(withoutCounts(events, counts)).compose(new spec());
  yield `\n${counts.map((line) => `ℹ ${line}\n`).join("")}`;
}

/** The events, but for the counts of the whole run, which are kept. */
async function* withoutCounts(events, counts) {
  for await (const event of events) {
    const { nesting, message } = event.data;
    if (event.type === "test:diagnostic" && nesting === 0 && COUNT.test(message)) counts.push(message);
    else yield event;
  }
}
