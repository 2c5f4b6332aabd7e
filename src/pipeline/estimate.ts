/** How large a request is before it is sent: what limits reserve, and strategies choose by. Gateway worker; pure. */
import { OUTPUT_TOKENS_ASSUMED } from "../base/limits.ts";
import type { Route } from "../config/snapshot.ts";
import { estimateTokens } from "../providers/response-scan.ts";
import { usualAnswer } from "./answer-size.ts";
import { ENDPOINT_EMBEDDINGS, ENDPOINT_MODERATIONS, takesModel } from "./endpoint.ts";
import type { Exchange } from "./exchange.ts";

/** Of its prompt, by the bytes of its text. */
export function promptTokens({ endpoint, textBytes }: Exchange): number {
  return takesModel(endpoint) ? estimateTokens(textBytes) : 0;
}

/** What it allows at most; without that, what answers of its route usually have. */
export function outputTokensAtMost({ endpoint, outputTokensMax, route }: Exchange): number {
  if (!takesModel(endpoint) || endpoint === ENDPOINT_EMBEDDINGS || endpoint === ENDPOINT_MODERATIONS) return 0;
  return outputTokensMax >= 0 ? outputTokensMax : usualOf(route);
}

function usualOf(route: Route | null): number {
  return route === null ? OUTPUT_TOKENS_ASSUMED : Math.ceil(usualAnswer(route.answers));
}
