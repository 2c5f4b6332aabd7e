/** Makes answers as providers send them: chat and Responses streams, whole documents, and the traps in them. Pure. */
import type { Random } from "./random.ts";

export const LINE_ENDS = ["\n", "\r\n", "\r"] as const;
export type LineEnd = (typeof LINE_ENDS)[number];

const TEXTS = [
  "",
  "Hello",
  " world",
  'a "quoted" word',
  "back\\slash",
  "line\nbreak",
  "日本語",
  "😀",
  '{"usage":{"prompt_tokens":7}}',
  "data: [DONE]\n\n",
  '","usage":{"completion_tokens":9},"x":"',
  "x".repeat(40),
];
const FINISHES = [null, null, null, "stop", "length", "tool_calls"];
const COUNTS = [0, 1, 9, 10, 99, 4_096, 123_456, 999_999_999_999, 1_000_000_000_000, 1_000_000_000_001, 1e15, 1.5, -3];
/** Members named like figures where they are none. */
const TRAPS = {
  metadata: { usage: { prompt_tokens: 77, completion_tokens: 77 } },
  tools: [{ function: { parameters: { properties: { usage: { input_tokens: 78 } } } } }],
  "usage ": { prompt_tokens: 79 },
  Usage: { prompt_tokens: 80 },
  usage_metadata: { prompt_tokens: 81 },
};

export class AnswerMaker {
  private readonly random: Random;
  private readonly lineEnd: LineEnd;

  constructor(random: Random, lineEnd: LineEnd = random.pick(LINE_ENDS)) {
    this.random = random;
    this.lineEnd = lineEnd;
  }

  /** A chat completion stream. */
  chat(): Buffer {
    const deltas = this.random.several(5, () => this.event(this.chatChunk()));
    const usage = this.random.chance(0.8) ? [this.event(this.usageChunk())] : [];
    const done = this.random.chance(0.8) ? [`data: [DONE]${this.lineEnd}${this.lineEnd}`] : [];
    return Buffer.from([...deltas, ...usage, ...done].join(""));
  }

  /** A Responses stream. */
  responses(): Buffer {
    const deltas = this.random.several(5, () =>
      this.event({ type: "response.output_text.delta", delta: this.text(), ...this.trap() }, true),
    );
    const end = {
      type: this.random.pick(["response.completed", "response.failed", "response.incomplete"]),
      response: { output: [{ content: [{ text: "again" }] }], usage: this.responsesUsage(), ...this.trap() },
    };
    return Buffer.from([...deltas, this.event(end, true)].join(""));
  }

  /** A document that is not a stream. */
  document(): Buffer {
    const choices = this.random.several(3, () => ({ message: { content: this.text(), refusal: null } }));
    const finish = { finish_reason: this.random.pick(FINISHES) };
    const chat = { id: this.text(), choices, ...this.trap(), choice: finish, usage: this.chatUsage() };
    const output = [{ type: "message", content: [{ type: "output_text", text: this.text() }] }];
    const response = { object: "response", output, usage: this.responsesUsage(), ...this.trap() };
    const failure = { error: { message: this.text(), type: "server_error" } };
    return Buffer.from(JSON.stringify(this.random.pick([chat, response, failure]), null, this.random.pick([0, 1])));
  }

  private chatChunk(): object {
    const delta = this.random.pick([
      { role: "assistant", content: this.text() },
      { content: this.text() },
      { reasoning_content: this.text() },
      { tool_calls: [{ index: 0, function: { name: "f", arguments: this.text() } }] },
      {},
    ]);
    const usage = this.random.pick([{}, { usage: null }, { usage: this.chatUsage() }]);
    const choices = this.random.chance(0.9) ? [{ index: 0, delta, finish_reason: this.random.pick(FINISHES) }] : [];
    const extra = this.random.chance(0.05) ? { error: this.random.pick([null, "bad", { message: "bad" }]) } : {};
    return { id: this.text(), ...this.trap(), choices, ...extra, ...(choices.length > 0 ? usage : {}) };
  }

  private usageChunk(): object {
    const usage = this.chatUsage();
    const groq = { id: "x", choices: [], x_groq: { id: "y", usage } };
    return this.random.pick([{ choices: [], usage }, { usage, id: "z", choices: [], ...this.trap() }, groq]);
  }

  private chatUsage(): object {
    return {
      prompt_tokens: this.count(),
      completion_tokens: this.count(),
      total_tokens: 5,
      prompt_tokens_details: this.random.pick([null, {}, { audio_tokens: 3, cached_tokens: this.count() }]),
      completion_tokens_details: this.random.pick([null, {}, { reasoning_tokens: this.count(), audio_tokens: 4 }]),
    };
  }

  private responsesUsage(): object {
    return {
      input_tokens: this.count(),
      input_tokens_details: { cached_tokens: this.count() },
      output_tokens: this.count(),
      output_tokens_details: { reasoning_tokens: this.count() },
    };
  }

  /** One event: its data on one line or several, with the fields and comments that may stand around it. */
  private event(data: object, named = false): string {
    const text = JSON.stringify(data, null, this.random.chance(0.2) ? 1 : 0);
    const space = this.random.pick(["", " "]);
    const lines = text.split("\n").map((line) => `data:${space}${line}`);
    if (named || this.random.chance(0.1)) lines.unshift("event: usage");
    if (this.random.chance(0.1)) lines.unshift(': "usage":{"prompt_tokens":6}');
    if (this.random.chance(0.1)) lines.push("id: 7", "retry: 10", "datax: 1", "data");
    const before = this.random.pick(["", "", "", this.lineEnd, `:${this.lineEnd}${this.lineEnd}`]);
    return before + [...lines, "", ""].join(this.lineEnd);
  }

  private text(): string {
    return this.random.several(4, () => this.random.pick(TEXTS)).join("");
  }

  private count(): number | string | null {
    return this.random.chance(0.05) ? this.random.pick(["12", null]) : this.random.pick(COUNTS);
  }

  private trap(): object {
    const [name, value] = this.random.pick(Object.entries(TRAPS));
    return this.random.chance(0.2) ? { [name]: value } : {};
  }
}
