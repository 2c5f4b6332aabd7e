/** GET /v1/models and /v1/models/{id}: answered from the snapshot, with the models that the key may use. */
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import type { KeyRecord, Route, Snapshot } from "../config/snapshot.ts";
import type { Exchange } from "./exchange.ts";

const LIST_PATH = "/v1/models";

interface ModelObject {
  id: string;
  object: "model";
  created: number;
  owned_by: string;
}

function modelObject(route: Route, snapshot: Snapshot): ModelObject {
  const { alias, target } = route;
  return { id: alias, object: "model", created: snapshot.loadedAtS, owned_by: target.provider.name };
}

function visible(key: KeyRecord | null, alias: string): boolean {
  return key === null || key.models === null || key.models.has(alias);
}

/** The text to send, or 404. */
export function modelsBody(exchange: Exchange): string | ErrorRow {
  const { path, snapshot, key } = exchange;
  if (path === LIST_PATH) {
    const routes = [...snapshot.routes.values()].filter((route) => visible(key, route.alias));
    return JSON.stringify({ object: "list", data: routes.map((route) => modelObject(route, snapshot)) });
  }
  const alias = decoded(path.slice(LIST_PATH.length + 1));
  const route = snapshot.routes.get(alias);
  if (route === undefined || !visible(key, alias)) return exchange.fail(ERRORS.modelNotFound, alias);
  return JSON.stringify(modelObject(route, snapshot));
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
