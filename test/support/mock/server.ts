/** The mock provider's proxy-side port: one connection is one loop of request, plan, delivery. Runs in the mock's process. */
import type { Socket } from "node:net";
import { answerTo } from "./answers.ts";
import { DELIVERY_FAULTS, type Delivery, wasEndedHere } from "./delivery-faults.ts";
import type { Gates } from "./gates.ts";
import type { Entry, Recorder } from "./journal.ts";
import { errorPlan, type Plan } from "./plan.ts";
import { PLAN_FAULTS } from "./plan-faults.ts";
import { headerOf, type ReceivedHead, RequestReader } from "./request-reader.ts";
import { sendWhole } from "./wire.ts";

/** `x-mock: NAME[=ARG],...` of one request. */
type Wanted = readonly (readonly [name: string, arg: string])[];

export class Connection {
  private readonly socket: Socket;
  private readonly recorder: Recorder;
  private readonly gates: Gates;
  private readonly number: number;
  private readonly reader: RequestReader;
  private entry: Entry | null = null;

  constructor(socket: Socket, recorder: Recorder, gates: Gates) {
    this.socket = socket;
    this.recorder = recorder;
    this.gates = gates;
    this.number = recorder.connected();
    this.reader = new RequestReader({
      head: (head) => this.begin(head),
      body: (bytes) => this.entry?.add(bytes),
      end: () => void this.answer().catch((error: unknown) => this.fault(error)),
    });
    socket.setNoDelay(true);
    socket.on("data", (bytes) => this.read(bytes));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.closed());
  }

  private read(bytes: Buffer): void {
    try {
      this.reader.push(bytes);
    } catch (error) {
      this.fault(error);
    }
  }

  /** What arrived makes no sense. */
  private fault(error: unknown): void {
    this.recorder.fault(String(error));
    this.socket.destroy();
  }

  private begin(head: ReceivedHead): void {
    if (this.entry !== null) throw new Error("a request before the last answer was complete");
    this.entry = this.recorder.begin(this.number, head);
    const early = wantedOf(head).find(([name]) => name === "early-answer");
    if (early !== undefined) void this.answerEarly(Number(early[1]));
  }

  /** Answers on the head alone and closes, as a provider does that refuses an upload. */
  private async answerEarly(status: number): Promise<void> {
    await sendWhole(this.socket, errorPlan(status, "refused early", [["connection", "close"]]), false);
    if (this.entry !== null) this.entry.state = "answered";
    this.entry = null;
    this.socket.destroySoon();
  }

  private async answer(): Promise<void> {
    const entry = this.entry;
    if (entry === null) return;
    entry.endBody();
    const complete = await this.deliver(entry);
    if (!complete) return;
    this.recorder.answered(entry);
    this.entry = null;
  }

  private deliver(entry: Entry): Promise<boolean> {
    const wanted = wantedOf(entry.head);
    const plan = planOf(entry, wanted);
    const [name, arg] = wanted.find(([candidate]) => candidate in DELIVERY_FAULTS) ?? ["", ""];
    const delivery: Delivery | undefined = DELIVERY_FAULTS[name];
    if (delivery !== undefined) return delivery(this.socket, plan, arg, this.gates);
    return sendWhole(this.socket, plan, entry.head.method === "HEAD");
  }

  private closed(): void {
    this.recorder.disconnected();
    if (this.entry === null) return;
    if (wasEndedHere(this.socket)) this.entry.state = "cut";
    else this.recorder.aborted(this.entry);
  }
}

function planOf(entry: Entry, wanted: Wanted): Plan {
  let plan = answerTo(entry);
  for (const [name, arg] of wanted) plan = PLAN_FAULTS[name]?.(plan, arg, entry) ?? plan;
  return plan;
}

function wantedOf(head: ReceivedHead): Wanted {
  const items = (headerOf(head, "x-mock") ?? "").split(",").filter((item) => item !== "");
  return items.map((item) => {
    const [name = "", arg = ""] = item.split("=");
    return [name.trim(), arg];
  });
}
