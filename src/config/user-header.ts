/** What the file says of a header that names users: which ones may, and whether anybody counts by it. Supervisor and command line. Pure. */
import { type Finding, findingAt } from "./finding.ts";
import type { ModelForm } from "./model.ts";
import { Refusal, readHeaderName } from "./scalar.ts";
import type { Form } from "./schema.ts";
import { scalar } from "./shape.ts";

/** They are not among the headers of a request that limits see, and some of them are secret. */
const OTHERS: ReadonlySet<string> = new Set([
  ...["authorization", "api-key", "x-api-key", "cookie", "host", "connection", "content-length", "content-type"],
  ...["transfer-encoding", "accept-encoding", "x-request-id"],
]);

function readUserHeader(text: string): string | Refusal {
  const name = readHeaderName(text);
  if (name instanceof Refusal || !OTHERS.has(name.toLowerCase())) return name;
  return new Refusal("this header has another meaning; choose one that only names users, such as x-user-id");
}

export const USER_HEADER = scalar(readUserHeader)
  .meta({ expects: "header name" })
  .optional()
  .describe(
    "A request header that names the user, for limits and budgets with the scope user, and for models that go by users (hash_by, sticky), such as x-user-id. It goes before `user` of the body.",
  );

/** Settings around limits that change nothing, because no limit needs them. */
export function limitWarnings({ rate_limits: rules, budgets, ...form }: Form): readonly Finding[] {
  const findings: Finding[] = [];
  if (form.rate_limit_queue !== undefined && rules.every(({ mode }) => mode === "observe"))
    findings.push(findingAt(["rate_limit_queue"], "there are no rate_limits that refuse, so nothing waits"));
  const counts = [...rules, ...budgets].some(({ scope }) => scope.includes("user"));
  if (form.user_header !== undefined && !counts && !Object.values(form.models).some(goesByUser))
    findings.push(findingAt(["user_header"], "no limit, no budget and no model goes by users, so nobody asks for it"));
  return findings;
}

/** Whether requests of the same user stay together, at one of its targets or arms. */
function goesByUser(model: ModelForm): boolean {
  return [model, ...(model.routes ?? [])].some(
    ({ hash_by, split, canary }) => hash_by?.is === "user" || split?.sticky === "user" || canary?.sticky === "user",
  );
}
