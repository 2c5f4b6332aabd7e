/** `sluice explain` with the real program: what the gateway that runs knows at this moment, and the file alone where none runs. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { after, test } from "node:test";
import type { ExplainedLimit, Explanation } from "../../src/config/explanation.ts";
import { type ConfigForm, mockProvider, standardConfig } from "../support/config.ts";
import { ask } from "../support/http-client.ts";
import { Sluice } from "../support/sluice.ts";
import { Upstream } from "../support/upstream.ts";

const sick = await Upstream.start();
const well = await Upstream.start();
const FORM: ConfigForm = {
  ...standardConfig(well),
  workers: 2,
  providers: { well: mockProvider(well.url), sick: { ...mockProvider(sick.url), headers: { "x-mock": "status=500" } } },
  models: {
    chat: {
      targets: [
        { provider: "sick", model: "m" },
        { provider: "well", model: "m" },
      ],
    },
  },
  prices: { m: { input: 1, output: 10_000 } },
  passthrough: "well",
  breaker: { failures: "2", cooldown: "1h" },
  rate_limits: [{ name: "few", scope: ["key"], requests: "5/day" }],
  budgets: [{ name: "much", scope: ["key"], usd: 1_000, per: "month" }],
};
const sluice = await Sluice.start(well, FORM);
after(async () => {
  await sluice.remove();
  await sick.stop();
  await well.stop();
});

const ASKED = ["--key", "default", "--model", "chat", "--max-tokens", "10"];

async function explained(...args: readonly string[]): Promise<Explanation & { readonly live: boolean }> {
  const { code, text } = await sluice.command("explain", ...ASKED, "--json", ...args);
  strictEqual(code, 0, text);
  return JSON.parse(text.slice(0, text.lastIndexOf("}") + 1));
}

async function chat(): Promise<number> {
  const body = { model: "chat", max_tokens: 10, messages: [{ role: "user", content: "" }] };
  return (await ask(sluice, "/chat/completions", { body, headers: { connection: "close" } })).status;
}

function standing({ limits }: Explanation): (string | number | boolean)[][] {
  return limits.map(({ name, left, admits }: ExplainedLimit) => [name, left, admits]);
}

test("the running gateway tells its decision, and asking it takes nothing", async () => {
  const told = await explained();
  deepStrictEqual(
    told.targets.map(({ provider, order, obstacle }) => [provider, order, obstacle]),
    [
      ["sick", 1, null],
      ["well", 2, null],
    ],
  );
  deepStrictEqual([told.live, told.refusal, told.key?.state], [true, null, "enabled"]);
  deepStrictEqual([told.workers, told.queue], [{ serving: 2, shedding: 0 }, null]);
  deepStrictEqual(standing(await explained()), [
    ["few", 5, true],
    ["much", 1_000_000_000_000, true],
  ]);
  strictEqual((await well.journal()).requestsTotal + (await sick.journal()).requestsTotal, 0);
});

test("it tells of breakers that are open, of what is used, and of the rule that refuses, in words and in JSON", async () => {
  deepStrictEqual([await chat(), await chat(), await chat()], [200, 200, 200]);
  const told = await explained();
  deepStrictEqual(
    told.targets.map(({ provider, order }) => [provider, order]),
    [
      ["well", 1],
      ["sick", 0],
    ],
  );
  const [few, much] = told.limits;
  strictEqual(few?.left, 2);
  ok(much !== undefined && much.left < much.limit, "some of the budget is used");
  deepStrictEqual([await chat(), await chat()], [200, 200]);
  const { code, text } = await sluice.command("explain", ...ASKED);
  strictEqual(code, 0);
  match(text, /^key +default: enabled, for any model\n/);
  match(text, /^ {2}- +sick\/m +0 % .*its breaker is open for [\dhms]+$/m);
  match(text, /^ {2}few +requests +takes 1 +0 left +of 5 per day .*refuses$/m);
  match(text, /^answer +429 rate_limit_exceeded: .*5 requests per day \(limit 'few'\).* \(retry after \dh\d+m\d+s\)$/m);
  strictEqual(await chat(), 429);
});

test("a body of one's own is explained as it is, and a header or an option that cannot be is refused", async () => {
  const big = await sluice.command("explain", ...ASKED, "--prompt-tokens", "1000000000");
  deepStrictEqual([big.code, /whole number from 0 to/.test(big.text)], [2, true]);
  const header = await sluice.command("explain", ...ASKED, "--header", "no colon");
  deepStrictEqual([header.code, /Expected 'name: value'/.test(header.text)], [2, true]);
  const address = await sluice.command("explain", ...ASKED, "--address", "10.0.0.256");
  deepStrictEqual([address.code, /Expected an IPv4 or IPv6 address/.test(address.text)], [2, true]);
  const none = await sluice.command("explain", "--key", "default");
  deepStrictEqual([none.code, /'--model <name>' or '--body <file>'/.test(none.text)], [2, true]);
  const file = await sluice.command("explain", "--key", "default", "--body", sluice.configFile, "--json");
  match(file.text, /"code": "model_missing"/);
  match(
    (await sluice.command("explain", "--key", "default", "--body", "/nowhere")).text,
    /could not be read \(ENOENT\)/,
  );
});

test("where no gateway runs, or none is to be asked, the file alone is explained, and that is said", async () => {
  const apart = await explained("--offline");
  deepStrictEqual([apart.live, standing(apart)[0], apart.refusal], [false, ["few", 5, true], null]);
  sluice.signal("SIGTERM");
  strictEqual(await sluice.end(), 0);
  const { text } = await sluice.command("explain", ...ASKED);
  match(text, /^No gateway was asked: nothing is known of what is used/m);
  match(text, /^answer +that of sick\/m$/m);
});
