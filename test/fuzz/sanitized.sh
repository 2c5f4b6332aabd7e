#!/bin/sh
# Runs the tests of the scans, of request heads, of the parser of upstream responses and of native connections against the addons built with
# AddressSanitizer and UndefinedBehaviorSanitizer: a read of one byte outside of a body or chunk of more than 64 bytes, or of any piece
# of an upstream response, or of a connection that is gone, ends the run with a report. Takes two minutes, so not a part of npm test.
# It works on a copy of the tree: the addon in use stays as it is. Arguments: other test files.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r "$root/src" "$root/test" "$root/package.json" "$copy"
ln -s "$root/node_modules" "$copy/node_modules"
sanitize="-fsanitize=address,undefined"
make -s -C "$copy/src/native" clean
make -s -j 2 -C "$copy/src/native" build/sluice.node build/parser.node CXX="${CXX:-g++} $sanitize -fno-omit-frame-pointer -g"
LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libubsan.so)"
export LD_PRELOAD
export ASAN_OPTIONS=detect_leaks=0:detect_odr_violation=0 UBSAN_OPTIONS=halt_on_error=1
cd "$copy"
[ $# -gt 0 ] || set -- test/fuzz/request-scan*.test.ts test/fuzz/response-scan.test.ts test/unit/scan-*.test.ts \
  test/fuzz/upstream-parser.test.ts test/unit/upstream-parser.test.ts test/fuzz/upstream-connections.test.ts \
  test/unit/upstream-native*.test.ts test/faults/transport-growing.test.ts test/fuzz/request-head.test.ts \
  test/unit/key-tags.test.ts test/faults/uws-head.test.ts test/faults/uws-response.test.ts \
  test/faults/uws-shed.test.ts test/unit/turns.test.ts test/fuzz/streamed-answers.test.ts
for file; do
  "$root/node_modules/.bin/node" --disable-warning=ExperimentalWarning "$file"
done
