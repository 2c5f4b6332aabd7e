/** Where a request goes: by its model, by the passthrough, and never past a key's list of models. */
import { deepStrictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ERRORS, type ErrorRow } from "../../src/base/errors.ts";
import type { Snapshot } from "../../src/config/snapshot.ts";
import { classify } from "../../src/pipeline/endpoint.ts";
import { route } from "../../src/pipeline/route.ts";
import { exchangeOf, snapshotOf } from "../support/exchange.ts";
import { modelOf } from "../support/request-path.ts";

const plain = snapshotOf();
const models = { allowed: modelOf("main", "up"), "*": modelOf("main", null) };
const open = snapshotOf({ models, passthrough: null });
const CHAT = "/v1/chat/completions";

interface Case {
  readonly what: string;
  readonly snapshot: Snapshot;
  readonly model: string;
  readonly key?: string;
  readonly path?: string;
  readonly error: ErrorRow | null;
  /** Alias of the route; "": the passthrough. */
  readonly alias?: string;
}

const CASES: Case[] = [
  { what: "a known model", snapshot: plain, model: "allowed", error: null, alias: "allowed" },
  { what: "an unknown model", snapshot: plain, model: "nope", error: ERRORS.modelNotFound },
  { what: "a name of Object's", snapshot: plain, model: "constructor", error: ERRORS.modelNotFound },
  { what: "any model", snapshot: open, model: "nope", error: null, alias: "*" },
  { what: "the star itself", snapshot: plain, model: "*", error: ERRORS.modelNotFound },
  { what: "no model", snapshot: plain, model: "", path: "/v1/files", error: null, alias: "" },
  { what: "no model and no passthrough", snapshot: open, model: "", path: "/v1/files", error: ERRORS.noPassthrough },
  { what: "a model of the key's", snapshot: plain, model: "allowed", key: "narrow", error: null, alias: "allowed" },
  { what: "another model", snapshot: plain, model: "other", key: "narrow", error: ERRORS.modelNotAllowed },
  { what: "another model by the star", snapshot: open, model: "nope", key: "narrow", error: ERRORS.modelNotAllowed },
  { what: "an unknown model", snapshot: plain, model: "nope", key: "narrow", error: ERRORS.modelNotFound },
  { what: "none", snapshot: plain, model: "", key: "narrow", path: "/v1/files", error: ERRORS.modelRequiredByKey },
  {
    what: "a model that decides nothing",
    snapshot: plain,
    model: "allowed",
    key: "narrow",
    path: "/v1/batches",
    error: ERRORS.modelRequiredByKey,
  },
];

for (const { what, snapshot, model, key = "wide", path = CHAT, error, alias } of CASES) {
  test(`${what}, with a ${key} key: ${error?.code ?? "routed"}`, () => {
    const exchange = exchangeOf({ snapshot, path });
    classify(exchange);
    exchange.model = model;
    exchange.key = [...snapshot.keys.values()].find(({ name }) => name === key) ?? null;
    deepStrictEqual(route(exchange), error);
    deepStrictEqual([exchange.route?.alias ?? "", exchange.target !== null], [alias ?? "", error === null]);
  });
}
