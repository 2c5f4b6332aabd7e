/** An explanation for people. Command line; pure. */
import { spanText } from "../base/span.ts";
import type { WaitDrop } from "../base/wait-drops.ts";
import type {
  ExplainedArm,
  ExplainedCredentials,
  ExplainedKey,
  ExplainedLimit,
  ExplainedPrice,
  ExplainedQueue,
  ExplainedTarget,
  Explanation,
} from "../config/explanation.ts";
import { sizeText } from "../config/scalar.ts";
import { section } from "./section.ts";

const NANO_PER_DOLLAR = 1_000_000_000;

export function explanationText(explanation: Explanation): string {
  const { key, route, targets, limits, workers, queue } = explanation;
  const held = limits.filter(({ isBudget }) => !isBudget);
  const budgets = limits.filter(({ isBudget }) => isBudget);
  return [
    `key          ${key === null ? "there is none of this name" : keyText(key)}`,
    `request      ${requestText(explanation)}`,
    `route        ${route === null ? "none" : routeText(explanation, route)}`,
    ...(targets.length === 0 ? [] : section("targets", targets.map(targetCells))),
    ...(held.length === 0 ? [] : section("rate limits", held.map(limitCells))),
    ...(budgets.length === 0 ? [] : section("budgets", budgets.map(limitCells))),
    ...(queue === null ? [] : [`queue        ${queueText(queue)}`]),
    ...(workers === null || workers.shedding === 0 ? [] : [`overload     ${overloadText(workers)}`]),
    `answer       ${answerText(explanation)}`,
  ].join("\n");
}

function keyText({ name, team, state, models }: ExplainedKey): string {
  const whose = team === null ? "" : `, of team ${team}`;
  return `${name}${whose}: ${state}, for ${models === null ? "any model" : models.join(", ")}`;
}

function requestText({ model, stream, promptTokens, outputTokensMax, timeoutMs }: Explanation): string {
  const allowed = outputTokensMax < 0 ? "no bound on its answer" : `at most ${outputTokensMax} of its answer`;
  return `${model === "" ? "without a model" : model}${stream ? ", a stream" : ""}; about ${promptTokens} tokens, ${allowed}, ${spanText(timeoutMs)} for all of it`;
}

function routeText(
  { model }: Explanation,
  { name, strategy, attempts, hedge, shadow, arm, arms }: NonNullable<Explanation["route"]>,
): string {
  const taker = name === "*" && model !== "*" ? "'*', which takes any model" : name;
  const how = [
    ...(arm === null ? [] : [`arm '${arm}' (${arms.map(armText).join(", ")})`]),
    ...(strategy === null ? [] : [strategy]),
    ...(attempts === 1 ? [] : [`up to ${attempts} tries`]),
    ...(shadow === null ? [] : [`copies of ${shadow.percent} % go to ${shadow.provider}/${shadow.model}`]),
    ...(hedge === null
      ? []
      : [`a second one beside it after ${hedge.afterMs === null ? "p95" : spanText(hedge.afterMs)}`]),
  ];
  return [taker === "" ? "passthrough" : taker, ...(how.length === 0 ? [] : [how.join(", ")])].join(": ");
}

function armText({ name, percent, closed }: ExplainedArm): string {
  return `${name} ${Math.round(percent * 10) / 10} %${closed ? ", rolled back" : ""}`;
}

function targetCells(target: ExplainedTarget) {
  const { provider, model, share, order, priority, weight, obstacle, inFlight, price } = target;
  const rank = order === 0 ? "-" : `${order}.`;
  const own = target.credentials === null ? [] : [credentialsText(target.credentials)];
  const facts = [`priority ${priority}`, `weight ${weight}`, `${inFlight} in flight`, ...own, priceText(price)];
  return [rank, `${provider}/${model}`, `${share} %`, facts.join(", "), obstacle ?? turnText(target)];
}

function credentialsText({ count, next, resting }: ExplainedCredentials): string {
  const rest = resting.length === 0 ? "" : ` (left alone: ${resting.join(" ")})`;
  return `credential ${next} of ${count}${rest}`;
}

function turnText({ order, after }: ExplainedTarget): string {
  if (order > 0) return "";
  return after.length === 0 ? "not tried: no try is left for it" : `after ${after.join(", ")}`;
}

function priceText(price: ExplainedPrice | null): string {
  return price === null ? "no price" : `${price.input} and ${price.output} USD per million`;
}

function limitCells(standing: ExplainedLimit) {
  const { name, quantity, limit, burst, per, isBudget, observes, takes, left, resetMs, admits } = standing;
  const amount = (value: number) => amountText(quantity, value);
  const span = per === "" ? "at a time" : per === "total" ? "in total" : `per ${per}`;
  const again = resetMs === 0 || per === "total" ? "" : `all of it in ${spanText(resetMs)}`;
  const says = admits ? "passes" : observes ? "is beyond, and only observes" : "refuses";
  const unit = isBudget && quantity === "cost" ? "USD" : quantity.replaceAll("_", " ");
  const whole = burst === limit ? "" : `, ${amount(burst)} at once`;
  return [
    name,
    unit,
    `takes ${amount(takes)}`,
    `${amount(left)} left`,
    `of ${amount(limit)} ${span}${whole}`,
    again,
    says,
  ];
}

function amountText(quantity: ExplainedLimit["quantity"], value: number): string {
  if (quantity === "cost") return String(value / NANO_PER_DOLLAR);
  return quantity === "bytes_in_flight" ? sizeText(value) : String(value);
}

/** Why one that may wait is refused at once. */
const DROPS: Readonly<Partial<Record<WaitDrop, string>>> = {
  full: "the queue is full",
  deadline: "there is no room before its time is over",
};

function queueText({ limit, ahead, waitMs, drop, requests, bytes, maxRequests, maxBytes }: ExplainedQueue): string {
  const filled = `${requests} of ${maxRequests} wait in this worker, with ${sizeText(bytes)} of ${sizeText(maxBytes)}`;
  if (limit === null) return `not needed; ${filled}`;
  const others = ahead === 1 ? "1 other" : `${ahead} others`;
  const place = ahead === 0 ? "in front" : `behind ${others}`;
  const why = drop === null ? "it may not wait" : (DROPS[drop] ?? drop);
  if (waitMs === 0) return `refused at once by limit '${limit}': ${why}; ${filled}`;
  return `waits for limit '${limit}', ${place}, for ${spanText(waitMs)} at most; ${filled}`;
}

function overloadText({ serving, shedding }: NonNullable<Explanation["workers"]>): string {
  return `${shedding} of ${serving} workers shed load: what comes late in a turn of theirs is answered with 503 overloaded`;
}

function answerText({ refusal, targets }: Explanation): string {
  if (refusal !== null) {
    const again = refusal.retryAfterMs === 0 ? "" : ` (retry after ${spanText(refusal.retryAfterMs)})`;
    const wait = refusal.waitMs === 0 ? "" : `waits for ${spanText(refusal.waitMs)} at most, then `;
    return `${wait}${refusal.status} ${refusal.code}: ${refusal.message}${again}`;
  }
  const [first] = targets;
  return first === undefined ? "nowhere" : `that of ${first.provider}/${first.model}`;
}
