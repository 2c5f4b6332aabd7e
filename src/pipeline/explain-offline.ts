/**
 * The same explanation from the file alone, for when no gateway runs: nothing is used of any limit, and every breaker is closed. Command
 * line. It decides over a map of limits of its own, which it makes in a temporary directory and removes.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileSnapshot } from "../config/compile.ts";
import type { ExplainQuestion, Explanation } from "../config/explanation.ts";
import type { Config } from "../config/schema.ts";
import { prepareLimits } from "../shm/limits.ts";
import { explain } from "./explain.ts";
import { Limiter } from "./limit.ts";

/** In the place of one that the supervisor chooses when it starts: nobody is asked. */
const DEMO_URL = "http://127.0.0.1/v1";

export function explainOffline(config: Config, question: ExplainQuestion): Explanation {
  const snapshot = compileSnapshot(withUrls(config), 1);
  const directory = mkdtempSync(join(tmpdir(), "sluice-explain-"));
  try {
    const limiter = new Limiter(prepareLimits(directory), () => {});
    limiter.configure(snapshot);
    return explain(snapshot, limiter, question);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function withUrls(config: Config): Config {
  const providers = Object.entries(config.providers).map(([name, provider]) => [
    name,
    { ...provider, baseUrl: provider.baseUrl ?? DEMO_URL },
  ]);
  return { ...config, providers: Object.fromEntries(providers) };
}
