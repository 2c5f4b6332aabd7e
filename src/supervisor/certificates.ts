/**
 * Certificates of the listeners that nobody renews. Supervisor, at start and reload. An expired one is not refused: the
 * other listeners serve, and a gateway that does not come up helps nobody.
 */
import type { Log } from "../base/log.ts";
import { type Listener, placeText } from "../config/listener.ts";
import { certificatesIn } from "../config/pem.ts";

/** How long before its end a certificate is worth a line, milliseconds: 14 days. */
const NOTICE_MS = 14 * 86_400_000;

/** `nowMs`: by the wall clock. */
export function noteCertificates(listeners: readonly Listener[], nowMs: number, log: Log): void {
  for (const { place, tls } of listeners) {
    const all =
      tls === null ? [] : [tls, ...tls.named].flatMap(({ certificates }) => certificatesIn(certificates) ?? []);
    for (const { subject, validToDate } of all) {
      const facts = { listen: placeText(place), subject, valid_to: validToDate.toISOString() };
      if (validToDate.getTime() <= nowMs) log.error(facts, "a certificate has expired: clients refuse it");
      else if (validToDate.getTime() <= nowMs + NOTICE_MS) log.warn(facts, "a certificate expires soon");
    }
  }
}
