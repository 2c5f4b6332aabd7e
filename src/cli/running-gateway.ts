/** The running gateway of a configuration, over its control socket. Command line. */
import { request } from "node:http";
import { CodedError } from "../base/errors.ts";
import { type ControlOutcome, type ControlState, controlPath } from "../config/control-path.ts";
import type { ExplainOutcome, ExplainQuestion, Explanation } from "../config/explanation.ts";
import { readConfig } from "../config/load.ts";
import { formatProblems } from "../config/problem.ts";

export class RunningGateway {
  readonly #path: string;

  /** Throws CodedError `config_invalid`: then the gateway would refuse it as well. */
  constructor(configPath: string) {
    const { text, config, problems } = readConfig(configPath, process.env);
    if (config === null) {
      const message = `${formatProblems(configPath, text, problems)}\n${configPath} cannot be used. What runs stays as it is.`;
      throw new CodedError("config_invalid", message);
    }
    this.#path = controlPath(config.dataDir);
  }

  /** Throws CodedError `not_running` if nobody is there. */
  async state(): Promise<ControlState> {
    return (await this.#ask("GET", "/state")) as ControlState;
  }

  /** Null: nobody is there at this moment. */
  async stateIfAny(): Promise<ControlState | null> {
    return this.state().catch(() => null);
  }

  async order(order: "reload" | "restart"): Promise<ControlOutcome> {
    return (await this.#ask("POST", `/${order}`)) as ControlOutcome;
  }

  async resetCanary(model: string): Promise<ControlOutcome> {
    return (await this.#ask("POST", `/canary/${encodeURIComponent(model)}/reset`)) as ControlOutcome;
  }

  /** Null: nobody is there at this moment. */
  async explain(question: ExplainQuestion): Promise<Explanation | null> {
    const outcome = (await this.#ask("POST", "/explain", JSON.stringify(question)).catch(
      nobody,
    )) as ExplainOutcome | null;
    if (outcome === null || "explanation" in outcome) return outcome === null ? null : outcome.explanation;
    throw new CodedError("not_explained", `The gateway that runs does not explain it: ${outcome.error}`);
  }

  #ask(method: string, path: string, body = ""): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const headers = body === "" ? {} : { "content-type": "application/json" };
    const asked = request({ socketPath: this.#path, method, path, headers }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("error", reject);
      answer.on("end", () => {
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString()));
        } catch (error) {
          reject(error);
        }
      });
    });
    asked.on("error", (cause: NodeJS.ErrnoException) => reject(this.#failure(cause)));
    asked.end(body);
    return promise;
  }

  #failure(cause: NodeJS.ErrnoException): CodedError {
    if (cause.code === "EACCES")
      return new CodedError("not_allowed", `${this.#path} is for the service's user and root.`, cause);
    return new CodedError("not_running", `No sluice answers at ${this.#path} (${cause.code ?? cause.message}).`, cause);
  }
}

function nobody(error: unknown): null {
  if (error instanceof CodedError && error.code === "not_running") return null;
  throw error;
}
