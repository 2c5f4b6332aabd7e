/** Which count of a limit a request needs, as a text: those with the same one wait in one line. Gateway worker; pure. */
import type { LimitRule } from "../base/limit-terms.ts";
import { takesModel } from "./endpoint.ts";
import type { Exchange } from "./exchange.ts";
import { subjectText } from "./limit-subjects.ts";

export function ruleId({ name, quantity }: LimitRule): string {
  return `${quantity} ${name}`;
}

/** Of the count that the rule has for this request. */
export function lineId(exchange: Exchange, rule: LimitRule): string {
  return rule.scope.reduce((id, part) => `${id}\n${subjectText(exchange, part)}`, ruleId(rule));
}

/** Whether the rule may have to be asked for it. */
export function appliesTo(exchange: Exchange, { keys, models, quantity, scope }: LimitRule): boolean {
  const { key, route, endpoint } = exchange;
  if (keys !== null && (key === null || !keys.includes(key.name))) return false;
  if (models !== null && (route === null || !models.includes(route.alias))) return false;
  if (quantity.endsWith("tokens") && !takesModel(endpoint)) return false;
  return scope.every((part) => subjectText(exchange, part) !== "");
}
