/** sluice(1), out of the command line's own definitions. Packaging. Pure. */
import { allCommands, type CommandEntry, type OptionEntry } from "./command-tree.ts";
import { Page } from "./roff.ts";

export interface Edition {
  readonly version: string;
  /** ISO date. */
  readonly date: string;
}

const SIGNALS: readonly (readonly [string, string])[] = [
  ["SIGHUP", "puts a changed configuration in force; one with a mistake changes nothing, and the log says why."],
  ["SIGUSR2", "reopens the access log."],
  ["SIGTERM, SIGINT", "finishes what runs, up to timeouts.drain, and exits with 0. Once more: ends at once."],
];

const FILES: readonly (readonly [string, string])[] = [
  ["/etc/sluice/sluice.yaml", "The configuration of the service; see sluice.yaml(5)."],
  ["/etc/sluice/keys.yaml", "Hashes of keys that sluice key create added."],
  ["/etc/sluice/first-key", "The key that the installation made, readable by root only. Move it to where it is used."],
  ["/var/lib/sluice", "Usage records (usage.db), latency histograms (hdr) and state."],
  ["/var/log/sluice", "The access log, where the configuration asks for one."],
  [
    "/usr/share/doc/sluice/operations.md",
    "How to operate the service: credentials, proxies, backups, monitoring, every file.",
  ],
];

const EXIT: readonly (readonly [string, string])[] = [
  ["0", "Done."],
  ["1", "It failed, or the configuration cannot be used."],
  ["2", "Wrong usage."],
];

/** `root`: of the tree, `sluice` itself. */
export function commandPage(root: CommandEntry, { version, date }: Edition): string {
  const page = new Page("sluice", 1, date, `sluice ${version}`, "Sluice");
  const leaves = allCommands(root).filter(({ commands }) => commands.length === 0);
  page.section("NAME");
  page.paragraph("sluice - AI gateway: one OpenAI endpoint in front of many model providers");
  page.section("SYNOPSIS");
  page.verbatim(["sluice --version", "sluice [command] --help", ...leaves.map(usage)].join("\n"));
  page.section("DESCRIPTION");
  page.paragraph(
    "Applications use the gateway as their OpenAI endpoint. It authenticates, routes, forwards, streams, meters and records every request to the model providers behind it. Every option below is also in the help of its command.",
  );
  page.section("COMMANDS");
  for (const command of leaves) describe(page, command);
  items(page, "SIGNALS", SIGNALS);
  environment(page, leaves);
  items(page, "FILES", FILES);
  items(page, "EXIT STATUS", EXIT);
  page.section("SEE ALSO");
  page.paragraph("sluice.yaml(5), systemctl(1), journalctl(1)");
  return page.toString();
}

function usage({ path, options, arguments: given }: CommandEntry): string {
  const mandatory = options.filter((option) => option.mandatory).map(({ flags }) => flags.replace(/^-\w, /, ""));
  return [...path, ...mandatory, "[options]", ...given.map((argument) => argument.usage)].join(" ");
}

function describe(page: Page, command: CommandEntry): void {
  page.subsection(usage(command));
  page.paragraph(sentence(command.description));
  for (const { usage: term, description } of command.arguments) page.item(term, sentence(description));
  for (const option of command.options) page.item(option.flags, optionText(option));
  if (command.notes !== "") page.verbatim(command.notes);
}

function optionText({ description, choices, byDefault, variable }: OptionEntry): string {
  const facts = [
    ...(choices.length > 0 ? [`One of: ${choices.join(", ")}.`] : []),
    ...(variable === null ? [] : [`Environment: ${variable}.`]),
    ...(byDefault === null ? [] : [`Default: ${byDefault}.`]),
  ];
  return [sentence(description), ...facts].join(" ");
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.)]$/.test(text) ? "" : "."}`;
}

function items(page: Page, title: string, list: readonly (readonly [string, string])[]): void {
  page.section(title);
  for (const [term, text] of list) page.item(term, text);
}

function environment(page: Page, commands: readonly CommandEntry[]): void {
  const variables = new Set(commands.flatMap(({ options }) => options.flatMap(({ variable }) => variable ?? [])));
  page.section("ENVIRONMENT");
  for (const variable of variables) {
    const readers = commands.filter(({ options }) => options.some((option) => option.variable === variable));
    const names = readers.map(({ path }) => path.join(" ")).join(", ");
    page.item(
      variable,
      `Used by ${names} where the command line names no file. The package's sluice sets it to /etc/sluice/sluice.yaml.`,
    );
  }
}
