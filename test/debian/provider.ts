/** The mock provider of audits, and the service configured for it. Runs inside the booted Debian tree, as root. */
import { mkdir, writeFile } from "node:fs/promises";
import { CREDENTIAL, hashOf, KEY, standardConfig } from "../support/config.ts";
import { Upstream } from "../support/upstream.ts";
import { output } from "./command.ts";
import { ACCESS_LOG, type Gateway, STATE } from "./gateway.ts";

export const CREDENTIAL_FILE = "/etc/sluice/mock-credential";
export const DROP_INS = "/etc/systemd/system/sluice.service.d";

export class Provider {
  #upstream: Upstream | null = null;

  get upstream(): Upstream {
    if (this.#upstream === null) throw new Error("the provider was not started");
    return this.#upstream;
  }

  /** Starts it, and has the service use it, with a credential that only its unit knows. */
  async install(gateway: Gateway): Promise<void> {
    this.#upstream = await Upstream.start();
    await writeFile(CREDENTIAL_FILE, CREDENTIAL, { mode: 0o600 });
    await dropIn("credential", `LoadCredential=mock:${CREDENTIAL_FILE}`);
    await gateway.configure(configFor(this.#upstream));
    await output("systemctl", "restart", "sluice");
    await gateway.untilReady();
  }
}

/** A change of the unit, as `systemctl edit` makes it. Takes effect at the next start. */
export async function dropIn(name: string, setting: string): Promise<void> {
  await mkdir(DROP_INS, { recursive: true });
  await writeFile(`${DROP_INS}/${name}.conf`, `[Service]\n${setting}\n`);
  await output("systemctl", "daemon-reload");
}

/** JSON is YAML; a line for each setting, so that a test can change one. */
function configFor(upstream: Upstream): string {
  const mock = { base_url: upstream.url, credential: { systemd: "mock" } };
  const form = {
    listen: "127.0.0.1:8081",
    admin: { listen: "127.0.0.1:8080" },
    data_dir: STATE,
    access_log: { path: ACCESS_LOG },
    keys_file: "keys.yaml",
    ...standardConfig(upstream),
    workers: 2,
    timeouts: { drain: "30s" },
    providers: { mock },
    keys: [{ name: "audit", hash: hashOf(KEY) }],
  };
  return `${JSON.stringify(form, null, 1)}\n`;
}
