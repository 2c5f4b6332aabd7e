/** A provider that says Hello, in one piece or as a stream, and remembers with which credential it was asked. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export class Provider {
  readonly url: string;
  /** Of the last request, with its scheme. */
  authorization = "";
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  }

  static async open(): Promise<Provider> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const provider = new Provider(server);
    server.on("request", (asked, answer) => void provider.#answer(asked, answer));
    return provider;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #answer(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    this.authorization = asked.headers.authorization ?? "";
    let body = "";
    for await (const chunk of asked) body += chunk;
    if (JSON.parse(body).stream === true) {
      answer.setHeader("content-type", "text/event-stream");
      answer.end(`data: ${JSON.stringify(completion("delta", "stop"))}\n\ndata: [DONE]\n\n`);
    } else {
      answer.setHeader("content-type", "application/json");
      answer.end(JSON.stringify(completion("message", "stop")));
    }
  }
}

function completion(part: "delta" | "message", finish_reason: string): unknown {
  const choice = { index: 0, [part]: { role: "assistant", content: "Hello" }, finish_reason };
  const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
  return { id: "x", object: "chat.completion", created: 0, model: "gpt-4o-mini", choices: [choice], usage };
}
