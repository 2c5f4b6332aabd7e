/** The chains of fallbacks of a route, out of its choices. Every gateway worker, at start and reload. Pure. */
import { assert } from "../base/assert.ts";
import { type ChainName, type FallbacksConfig, nameOf } from "./chains.ts";
import { type Choice, FAILURES, type Failure, type Fallbacks, failureBit, REQUEST_FAILURES } from "./snapshot.ts";

/** `all`: of the route `alias`, of which the first `count` are those that its strategy decides on. */
export function compileFallbacks(
  config: FallbacksConfig,
  all: readonly Choice[],
  count: number,
  alias: string,
): Fallbacks {
  const names = new Map(
    all.map((choice) => {
      const { provider, upstreamModel } = choice.target;
      return [nameOf({ provider: provider.name, model: upstreamModel ?? alias }), choice];
    }),
  );
  const chainOf = (name: ChainName) =>
    config[name]?.map((target) => {
      const choice = names.get(nameOf(target));
      assert(choice !== undefined, "a fallback is among the targets of its route");
      return choice;
    });
  const others = chainOf("default") ?? [];
  const own = (name: Failure) => chainOf(name) ?? [];
  const providers = FAILURES.flatMap(own);
  return Object.freeze({
    chains: [...FAILURES.map((name) => chainOf(name) ?? others), ...REQUEST_FAILURES.map(own)],
    instead: [...new Set([...others, ...providers])],
    extra: all.slice(count),
    read: REQUEST_FAILURES.reduce((bits, name) => (config[name] === undefined ? bits : bits | failureBit(name)), 0),
  });
}
