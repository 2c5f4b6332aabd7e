/**
 * What a listener refers to outside of the configuration: certificates, their key, a group. All of it is checked here, so
 * that a worker cannot fail with it. Supervisor and command line.
 */
import { CONFIG_BYTES_MAX } from "../base/limits.ts";
import { ReferredFiles } from "./certificate-files.ts";
import { readTextFile } from "./file.ts";
import { type Finding, findingAt, nearest } from "./finding.ts";
import type { Listener, NamedCertificate, Tls, UnixPlace } from "./listener.ts";
import type { Outside } from "./outside.ts";
import type { ListenerForm } from "./schema.ts";
import { quoted } from "./secret.ts";

const SOCKET_MODE_DEFAULT = 0o660;
const GROUPS_FILE = "/etc/group";

/** The listener at this place of the list; what is wrong is among the findings of `outside`. */
export function listenerOf(index: number, form: ListenerForm, outside: Outside): Listener {
  const { address, tls, proxy_protocol: proxyProtocol } = form;
  const path = ["listen", index];
  return {
    place: address.kind === "tcp" ? address : unixPlace(path, address.path, form, outside),
    tls: tls === undefined ? null : tlsOf([...path, "tls"], tls, outside),
    proxies: proxyProtocol?.trusted ?? null,
  };
}

type Path = readonly PropertyKey[];

function unixPlace(path: Path, file: string, { mode, group }: ListenerForm, outside: Outside): UnixPlace {
  const groupId = group === undefined ? null : groupIdOf(group, (finding) => outside.findings.push(finding), path);
  return { kind: "unix", path: outside.pathOf(file), mode: mode ?? SOCKET_MODE_DEFAULT, groupId };
}

function groupIdOf(group: string, report: (finding: Finding) => void, path: Path): number | null {
  if (/^\d{1,9}$/.test(group)) return Number(group);
  const lines = readTextFile(GROUPS_FILE, CONFIG_BYTES_MAX).split("\n");
  const groups = new Map(lines.map((line) => line.split(":")).map(([name = "", , id]) => [name, Number(id)]));
  const id = groups.get(group);
  if (id !== undefined) return id;
  const message = `there is no group ${quoted(group, "of this name")} in ${GROUPS_FILE}`;
  report(findingAt([...path, "group"], message, nearest(group, [...groups.keys()])));
  return null;
}

type TlsForm = NonNullable<ListenerForm["tls"]>;
type NamedForm = NonNullable<TlsForm["certificates"]>[number];
/** Texts are empty where there was a finding: the configuration is not used then. */
function tlsOf(path: Path, form: TlsForm, outside: Outside): Tls {
  const file = new ReferredFiles(path, form, outside);
  const own = file.certified();
  const clientAuthorities = form.client_ca_file === undefined ? null : file.certificates("client_ca_file");
  return {
    ...own,
    named: (form.certificates ?? []).map((named, i) => namedOf([...path, "certificates", i], named, outside)),
    clientAuthorities: clientAuthorities?.text ?? null,
  };
}

function namedOf(path: Path, form: NamedForm, outside: Outside): NamedCertificate {
  const { names } = form;
  return { names, ...new ReferredFiles(path, form, outside).certified(names) };
}
