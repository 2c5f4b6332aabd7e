/** Whether a contestant is up: it answers a chat completion with 200. */
import type { Endpoint } from "../contestant.ts";

export async function answers({ port, path, headers, model }: Endpoint): Promise<boolean> {
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "ready?" }] });
  const named = { "content-type": "application/json", ...Object.fromEntries(headers) };
  const url = `http://127.0.0.1:${port}${path}`;
  const response = await fetch(url, { method: "POST", headers: named, body }).catch(() => null);
  await response?.arrayBuffer();
  return response?.status === 200;
}
