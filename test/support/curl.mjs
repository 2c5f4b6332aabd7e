#!/usr/bin/env node
/**
 * Stands in for curl where it is not installed, with the options of the line that `npm start` prints: -N, -H, -d, and -X. Whoever
 * pastes that line has curl; a machine that runs these tests may not.
 */
import process from "node:process";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "no-buffer": { type: "boolean", short: "N" },
    header: { type: "string", short: "H", multiple: true, default: [] },
    data: { type: "string", short: "d" },
    request: { type: "string", short: "X", default: "POST" },
  },
});
const headers = values.header.map((line) => line.split(/:\s*/, 2));
const response = await fetch(positionals[0], { method: values.request, headers, body: values.data });
process.stdout.write(await response.text());
