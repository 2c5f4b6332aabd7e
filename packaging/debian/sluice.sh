#!/bin/sh
# The sluice command: the packaged program in the runtime that comes with it, for the configuration of the service. Flags as in
# scripts/runtime.mjs.
export SLUICE_CONFIG="${SLUICE_CONFIG-/etc/sluice/sluice.yaml}"
exec /usr/lib/sluice/bin/node --disable-warning=ExperimentalWarning --max-semi-space-size=1 --no-allocation-site-pretenuring /usr/lib/sluice/lib/main.js "$@"
