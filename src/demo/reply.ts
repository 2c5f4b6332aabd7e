/** What an endpoint of the demo provider answers with. Supervisor process. */

/** One server-sent event: `data` is sent as JSON, a string as it is. */
export interface DemoEvent {
  readonly event?: string;
  readonly data: object | string;
}

/** A JSON answer, or a stream of events. */
export type Reply =
  | { readonly kind: "json"; readonly body: object }
  | { readonly kind: "stream"; readonly events: readonly DemoEvent[] };

/** A refusal in OpenAI's error shape. */
export class DemoRefusal extends Error {
  readonly status: number;
  readonly param: string | null;
  readonly code: string | null;

  constructor(status: number, message: string, param: string | null = null, code: string | null = null) {
    super(message);
    this.status = status;
    this.param = param;
    this.code = code;
  }

  body(): object {
    const type = this.status >= 500 ? "server_error" : "invalid_request_error";
    return { error: { message: this.message, type, param: this.param, code: this.code } };
  }
}

/** Seconds since 1970, as OpenAI's `created`. */
export function createdNow(): number {
  return Math.floor(Date.now() / 1000);
}
