/** sluice.yaml(5), out of the schema of the configuration. Packaging. Pure. */
import type { Edition } from "./command-page.ts";
import { Page } from "./roff.ts";
import { type Setting, settings } from "./settings.ts";

const EXAMPLE = `listen: 127.0.0.1:8081
data_dir: /var/lib/sluice

providers:
  openai:
    base_url: https://api.openai.com/v1
    credential: { systemd: openai }

models:
  gpt-4o-mini: { provider: openai }

prices:
  gpt-4o-mini: { input: 0.15, cached_input: 0.075, output: 0.60 }

keys_file: keys.yaml`;

export function configPage({ version, date }: Edition): string {
  const page = new Page("sluice.yaml", 5, date, `sluice ${version}`, "Sluice");
  page.section("NAME");
  page.paragraph("sluice.yaml - configuration of the AI gateway sluice");
  page.section("DESCRIPTION");
  page.paragraph(
    "One YAML file. The service reads /etc/sluice/sluice.yaml. An unknown setting is an error, so a typing mistake never goes unnoticed: sluice check FILE says what is wrong, with line and column. systemctl reload sluice puts a changed file in force without losing a request; a file with a mistake changes nothing.",
  );
  page.paragraph(
    "Durations are written as 500ms, 10s, 5m or 1h; sizes as 512KiB, 32MiB, 1GB or a number of bytes. Relative paths begin at the folder of the file. NAME stands for a name of your choice, and a dash for an entry of a list.",
  );
  page.section("SETTINGS");
  for (const setting of settings()) page.item(setting.path.join("."), settingText(setting));
  page.section("EXAMPLE");
  page.verbatim(EXAMPLE);
  page.section("FILES");
  page.item("/etc/sluice/sluice.yaml", "The configuration of the service. Its comments explain every setting.");
  page.section("SEE ALSO");
  page.paragraph("sluice(1), systemd.exec(5) on LoadCredential=");
  return page.toString();
}

function settingText({ description, expects, byDefault, required }: Setting): string {
  const facts = [
    ...(expects === null ? [] : [`Expected: ${expects}.`]),
    ...(byDefault === null ? [] : [`Default: ${byDefault}.`]),
    ...(required ? ["Required."] : []),
  ];
  return [description, ...facts].filter((part) => part !== "").join(" ");
}
