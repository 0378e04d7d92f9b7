#!/bin/bash
# Runs the test programs that the Makefile has built and adds up what they report.
#
# Tidy first, then unit and simulation tests under ASan+UBSan, the threaded ones under TSan, the API's tables against a
# server with 1 and with 4 shards, the crash tests, and a few seconds of each fuzz target.  A program reports in TAP
# (cmocka does); one that ends badly without a failed test counts as one failure.  The last line is "N passed, N failed".
#
# usage: run-tests.sh BUILD      THREADED: sources of threaded tests   ONLY: part of the names to run
set -u
build=${1:?usage: run-tests.sh BUILD}
only=${ONLY:-}
logs=$build/test-logs
passed=0 failed=0 skipped=0
failures=()
mkdir -p "$logs"

export CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1}
export TALLY_BIN=$PWD/$build/asan/tally

# ThreadSanitizer of older compilers does not know the address layout that newer kernels choose.
fixed=
if setarch -R true 2>/dev/null; then fixed="setarch -R"; fi

# program LABEL SECONDS COMMAND...
program() {
	local label=$1 limit=$2 log status begin good bad skip
	shift 2
	[[ -z $only || $label == *"$only"* ]] || return 0
	log=$logs/$(echo "$label" | tr -c 'a-zA-Z0-9_.\n' '-').log
	begin=$(date +%s.%N)
	timeout -k 10 "$limit" "$@" >"$log" 2>&1
	status=$?
	# A test that was skipped is "ok" or "not ok", as the version of cmocka has it.
	skip=$(grep -ciE '^[[:space:]]*(not )?ok [0-9]+.*# *skip' "$log")
	good=$(grep -E '^[[:space:]]*ok [0-9]+' "$log" | grep -cviE '# *skip')
	bad=$(grep -E '^[[:space:]]*not ok [0-9]+' "$log" | grep -cviE '# *skip')
	((status == 0 || bad > 0)) || bad=1
	((status != 0 || good + bad + skip > 0)) || good=1
	passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + skip))
	printf '%-44s %4d passed' "$label" "$good"
	((bad == 0)) || printf ', %d FAILED' "$bad"
	((skip == 0)) || printf ', %d skipped' "$skip"
	awk -v begin="$begin" -v end="$(date +%s.%N)" 'BEGIN { printf "  %.1f s\n", end - begin }'
	if ((bad > 0)); then
		failures+=("$label")
		((status != 124)) || echo "  (stopped after $limit s)"
		tail -n 60 "$log" | sed 's/^/    /'
	fi
}

program tidy 300 make --no-print-directory tidy
for source in tests/unit/test_*.c tests/sim/test_*.c; do
	[[ -e $source ]] || continue
	name=${source#tests/}
	program "${name%.c} (asan)" 900 "$build/asan/${source%.c}"
done
for source in ${THREADED:-}; do
	name=${source#tests/}
	# shellcheck disable=SC2086
	program "${name%.c} (tsan)" 900 $fixed "$build/tsan/${source%.c}"
done
for source in tests/api/test_*.c; do
	[[ -e $source ]] || continue
	name=${source#tests/}
	# The ledger gives the same replies with any number of shards: with two as well.
	case $name in api/test_ledger*) counts="1 2 4" ;; *) counts="1 4" ;; esac
	for shards in $counts; do
		TALLY_SHARDS=$shards program "${name%.c} ($shards shards)" 900 "$build/asan/${source%.c}"
	done
done
# Once more with the server under TSan: four shards, the log and the loop are six threads.
for source in tests/api/test_ingest.c tests/api/test_customer.c tests/api/test_ledger.c; do
	[[ -e $source && -x $build/tsan/tally ]] || continue
	name=${source#tests/}
	# shellcheck disable=SC2086
	TALLY_SHARDS=4 TALLY_BIN=$PWD/$build/tsan/tally \
		program "${name%.c} (tsan, 4 shards)" 900 $fixed "$build/asan/${source%.c}"
done
for source in tests/crash/test_*.c; do
	[[ -e $source ]] || continue
	name=${source#tests/}
	program "${name%.c}" 3600 "$build/release/${source%.c}"
done
# A few seconds of each fuzz target; `make fuzz` for more.
for source in tests/fuzz/fuzz_*.c; do
	[[ -e $source && -x $build/fuzz/${source%.c} ]] || continue
	name=$(basename "${source%.c}")
	program "fuzz/$name" 120 bash .make/run-fuzz.sh "$build" "${FUZZ_SECONDS:-3}" "=${name#fuzz_}"
done

((skipped == 0)) || echo "$skipped skipped"
((${#failures[@]} == 0)) || echo "failed: ${failures[*]}  (output in $logs)"
echo "$passed passed, $failed failed"
((failed == 0))
