/**
 * The routes of one model, those with conditions before its own: how they are numbered, named and compiled. Every gateway worker, at start
 * and reload. Pure.
 */
import { assert } from "../base/assert.ts";
import { allTargets } from "./chains.ts";
import type { ConditionConfig } from "./condition.ts";
import type { ModelConfig, RouteConfig } from "./model.ts";
import { routeName } from "./series.ts";
import type { Condition, ConditionalRoute, Route, Test } from "./snapshot.ts";

/** Where a route stands. */
export type RoutePlace = Pick<Route, "number" | "alias" | "name" | "before">;

/** A route with the targets of `model`; its place is given. */
export type CompileRoute = (place: RoutePlace, model: ModelConfig) => Route;

export class ConditionalRoutes {
  readonly #fields: readonly string[];
  readonly #compile: CompileRoute;
  #routes = 0;

  constructor(fields: readonly string[] | null, compile: CompileRoute) {
    this.#fields = fields ?? [];
    this.#compile = compile;
  }

  routeOf(alias: string, model: ModelConfig): Route {
    const { routes = [] } = model;
    const before = routes.map((route) => this.#before(alias, route));
    const asks =
      routes.some(({ when, to }) => wantsBody(when) || isPicky(to)) ||
      // The scan of a whole body tells what a target must be able to do.
      isPicky(model) ||
      before.some(({ route }) => route.readsBody);
    const place = { alias, name: alias, before: before.length === 0 ? null : before };
    const route = this.#compile({ ...place, number: this.#next() }, model);
    return asks ? Object.freeze({ ...route, readsBody: true }) : route;
  }

  #before(alias: string, { name, when, to }: RouteConfig): ConditionalRoute {
    assert((to.routes ?? []).length === 0, "routes have no routes");
    const place = { alias, name: routeName(alias, name), before: null };
    const route = this.#compile({ ...place, number: this.#next() }, to);
    return Object.freeze({ when: compileCondition(when, this.#fields), route });
  }

  #next(): number {
    this.#routes += 1;
    return this.#routes - 1;
  }
}

/** Some target of it does not take everything. */
function isPicky(model: ModelConfig): boolean {
  return allTargets(model).some(({ capability }) => capability !== null && capability !== undefined);
}

/** Fields of bodies that conditions ask for; null: nobody asks what is in a body, beyond what every request needs. */
export function fieldsOf(models: Readonly<Record<string, ModelConfig>>): readonly string[] | null {
  const all = Object.values(models);
  const routes = all.flatMap((model) => model.routes ?? []);
  const asked =
    routes.some(({ when }) => when.body.length > 0 || (when.has | when.lacks | when.someOf) !== 0) ||
    [...all, ...routes.map(({ to }) => to)].some(isPicky);
  return asked ? [...new Set(routes.flatMap(({ when }) => when.body.map(([name]) => name)))] : null;
}

/** Whether it depends on what may stand anywhere in a body. */
function wantsBody({ body, stream, has, lacks, someOf, ...prompt }: ConditionConfig): boolean {
  const size = prompt.promptTokensMin > 0 || prompt.promptTokensMax < Number.POSITIVE_INFINITY;
  return body.length > 0 || stream !== null || (has | lacks | someOf) !== 0 || size;
}

/** `fields`: those of bodies that the scan looks for, by their place. */
function compileCondition(config: ConditionConfig, fields: readonly string[]): Condition {
  const { keys, headers, body, ...rest } = config;
  return Object.freeze({
    ...rest,
    keys: keys.map(([name, values]) => ({ name, test: compileTest(values) })),
    headers: headers.map(([name, values]) => compileHeader(name, values)),
    body: body.map(([name, values]) => ({ place: fields.indexOf(name), test: compileTest(values) })),
  });
}

/** Of headers that are for the gateway and for nobody else. */
const OWN_PREFIX = "x-sluice-";

/** What goes on is a string of bytes. */
function compileHeader(name: string, values: readonly string[]): Condition["headers"][number] {
  const own = name.startsWith(OWN_PREFIX);
  const sent = own ? values : values.map((value) => Buffer.from(value).toString("latin1"));
  return { line: `\r\n${name}: `, own, test: compileTest(sent) };
}

function compileTest(values: readonly string[]): Test {
  const [prefixes, exact] = [values.filter(isPrefix), values.filter((value) => !isPrefix(value))];
  const numbers = exact.filter((value) => /^-?\d/.test(value)).map(Number);
  return Object.freeze({
    exact: new Set(exact),
    prefixes: prefixes.map((value) => value.slice(0, -1)),
    numbers: new Set(numbers.filter(Number.isFinite)),
  });
}

function isPrefix(value: string): boolean {
  return value.endsWith("*");
}
