#!/bin/bash
# Runs the programs of tests/crash in full: that many kills at random moments, and everything that `make test` samples.
#
# usage: run-crash.sh BUILD KILLS
set -u
build=${1:?usage: run-crash.sh BUILD KILLS}
kills=${2:?usage: run-crash.sh BUILD KILLS}
failed=0
export CMOCKA_MESSAGE_OUTPUT=TAP TALLY_CRASH_FULL=1 TALLY_CRASH_ROUNDS=$kills
export TALLY_CRASH_BIN=${TALLY_CRASH_BIN:-$PWD/$build/tally}
for source in tests/crash/test_*.c; do
	echo "== ${source%.c}"
	begin=$(date +%s.%N)
	"$build/release/${source%.c}" 2>&1 || failed=$((failed + 1))
	awk -v begin="$begin" -v end="$(date +%s.%N)" 'BEGIN { printf "   %.0f s\n", end - begin }'
done
if ((failed)); then
	echo "crash: $failed programs failed" >&2
	exit 1
fi
echo "crash: nothing was lost"
