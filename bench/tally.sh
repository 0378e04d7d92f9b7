#!/usr/bin/env bash
# Tally as one of the engines of bench/run.sh: the same usage and output (lines `key value`) as bench/peers/NAME.sh, and
# the works that only Tally has.  Every work starts a server of its own with defaults on free ports, and removes its data.
#
# usage: tally.sh check | version
#        tally.sh WORK SECONDS DIR      WORK: w1 w1_one w2a w2b w3 http_array http_single
#        tally.sh w4a|w4b SECONDS DIR   open loop at RATE transfers/s: batches, and 64 connections with one a request
#        tally.sh w4a_snapshot|w4b_snapshot SECONDS DIR   the same while one snapshot after another is written
#        tally.sh w5 COUNT DIR          COUNT transfers, kill -9, start: seconds to the first durable answer
#        tally.sh w6 DIR                memory of an account and of an id, disk bytes of a transfer (W6_COUNT=10000000)
#        tally.sh restart ACCOUNTS DIR  ACCOUNTS made, a snapshot, kill -9: seconds until ready, the first time and again
#
# Environment: TALLY (build/tally), BENCH_BIN (build/release/bench), MEMBERS (1000000), SERVE_OPTIONS (options of serve).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tally=${TALLY:-build/tally}
bench_bin=${BENCH_BIN:-build/release/bench}
members=${MEMBERS:-1000000}
server= work= why=

die() {
	why="$(basename "$0"): $*"
	[ -n "$work" ] || echo "$why" >&2
	exit 1
}

finish() {
	local status=$?
	trap - EXIT
	trap '' INT TERM HUP
	if [ -n "$server" ]; then
		kill -9 "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
	fi
	if [ -n "$work" ]; then
		if [ "$status" != 0 ]; then
			tail -n 3 "$work/log" 2>/dev/null || true
			echo "$why"
		fi >&2
		rm -rf "$work"
	fi
	exit "$status"
}

# A new process on the data that are there; returns when it is ready.
server_start() {
	local tries=0
	rm -f "$work/ready"
	# shellcheck disable=SC2086
	"$tally" serve --data "$work/data" --http 127.0.0.1:0 --rpc 127.0.0.1:0 --ready-file "$work/ready" \
		--log-format text ${SERVE_OPTIONS:-} >>"$work/log" 2>&1 &
	server=$!
	until [ -s "$work/ready" ]; do
		kill -0 "$server" 2>/dev/null || die "the server ended"
		tries=$((tries + 1))
		[ "$tries" -lt 60000 ] || die "the server is not ready"
		sleep 0.005
	done
	http=$(sed -n 's/^http \([^ ]*\)$/\1/p' "$work/ready" | head -n 1)
	rpc=$(sed -n 's/^rpc \([^ ]*\)$/\1/p' "$work/ready" | head -n 1)
}

server_stop() {
	kill "$1" "$server"
	wait "$server" 2>/dev/null || true
	server=
}

begin() {
	mkdir -p "$1"
	work=$(mktemp -d "$(cd "$1" && pwd)/tally.XXXXXX")
	trap finish EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	server_start
}

# The generator's JSON as lines; the percentiles get names of their own.
generate() {
	"$tally" bench --rpc "$rpc" --http "$http" --accounts "$members" --report json "$@" >"$work/report" \
		2>"$work/errors" </dev/null || die "the load failed: $(cat "$work/errors") $(head -c 2000 "$work/report")"
}
lines() {
	python3 - "$work/report" <<'PY'
import json, sys
with open(sys.argv[1]) as f:
    report = json.load(f)
for key, value in report.items():
    if key == "latency_us":
        for name, us in value.items():
            print(f"{name}_us {us}")
    elif key not in ("refusals", "work"):
        print(f"{'transfers_per_s' if key == 'events_per_s' else key} {value}")
PY
}

metric() {
	curl -fsS "http://$http/metrics" >"$work/metrics"
	awk -v name="$1" '$1 == name || index($1, name "{") == 1 { print $2; exit }' "$work/metrics"
}
memory() { awk '/^Pss:/ { printf "%.0f\n", $2 * 1024 }' "/proc/$server/smaps_rollup"; }
durable() { metric tally_wal_durable_lsn; }

# Accounts first: what they take is counted apart.
measure() {
	local before after
	generate --work none >/dev/null
	before="$(memory) $(durable)"
	generate --setup no "$@"
	after="$(memory) $(durable)"
	lines
	sizes "$before" "$after"
}

# "MEMORY LSN" before and after; the generator's rows include the warm-up.
sizes() {
	python3 - "$work/report" "$1" "$2" <<'PY'
import json, sys
with open(sys.argv[1]) as f:
    report = json.load(f)
before, after = ([float(x) for x in a.split()] for a in sys.argv[2:4])
rows = report["rows_sent"]
print(f"memory_bytes_per_transfer {(after[0] - before[0]) / rows:.1f}")
print(f"disk_bytes_per_transfer {(after[1] - before[1]) / rows:.1f}")
print(f"memory_mb {after[0] / 1e6:.0f}")
PY
}

http_load() {
	local post=(curl -fsS -o /dev/null -H 'Content-Type: application/json' -H 'X-Brand: BENCH')
	"${post[@]}" "http://$http/admin/event-types" -d '{"key":"PURCHASE","origin":"EXTERNAL","name":"Purchase"}'
	"${post[@]}" "http://$http/rules" \
		-d '{"event_type":"PURCHASE","conditions":null,"actions":[{"type":"earn_points_from_amount","rate":1.0}]}'
	"$bench_bin/http_load" "${http%:*}" "${http##*:}" "$@" --seed "$RANDOM" >"$work/report"
	lines
}

w5() {
	local count=$1 from to seed
	generate --count "$count"
	echo "load_transfers_per_s $(lines | sed -n 's/^transfers_per_s //p')"
	seed=$(lines | sed -n 's/^seed //p')
	server_stop -KILL
	from=$(date +%s%N)
	server_start
	generate --setup no --work single --count 1
	to=$(date +%s%N)
	awk -v ns=$((to - from)) 'BEGIN { printf "recovery_s %.3f\n", ns / 1e9 }'
	# What was acknowledged is there: the same ids again are all known, so the log does not grow by their transfers.
	from=$(durable)
	generate --setup no --seed "$seed" --count 81900
	to=$(durable)
	[ $((to - from)) -lt 81900 ] || die "transfers were lost: sent again, they added $((to - from)) bytes to the log"
	server_stop -TERM
	"$tally" check "$work/data" >>"$work/log" 2>&1 || die "tally check finds fault with the data"
	echo "verified 1"
}

w6() {
	local empty empty_lsn accounts accounts_lsn count=${W6_COUNT:-10000000}
	generate --work none --accounts 10 --tenants 10                      # whatever is taken once
	empty=$(memory) empty_lsn=$(durable)
	generate --work none
	accounts=$(memory) accounts_lsn=$(durable)
	generate --setup no --count "$count"
	awk -v m=$((accounts - empty)) -v d=$((accounts_lsn - empty_lsn)) -v n="$members" \
		'BEGIN { printf "memory_bytes_per_account %.1f\ndisk_bytes_per_account %.1f\n", m / n, d / n }'
	sizes "$accounts $accounts_lsn" "$(memory) $(durable)" | sed 's/^memory_bytes_per_transfer/memory_bytes_per_id/'
}

restart() {
	local from time again
	members=$1
	generate --work none
	"$tally" snapshot --to "http://$http" >"$work/snapshot"
	sed 's/.*"bytes":\([0-9]*\),"raw_bytes":\([0-9]*\),.*/snapshot_bytes \1\nsnapshot_raw_bytes \2/' "$work/snapshot"
	echo "memory_bytes $(memory)"
	for time in first again; do
		server_stop -KILL
		from=$(date +%s%N)
		server_start
		again=$(date +%s%N)
		awk -v ns=$((again - from)) -v name="restart_${time}_s" 'BEGIN { printf "%s %.2f\n", name, ns / 1e9 }'
	done
	server_stop -TERM
}

# One snapshot after another, with the rate that a server has by default; `snapshots` counts them.
snapshots_begin() {
	while "$tally" snapshot --to "http://$http" >>"$work/snapshots" 2>&1; do :; done &
	snapshotter=$!
}
snapshots_end() {
	kill "$snapshotter" 2>/dev/null || true
	wait "$snapshotter" 2>/dev/null || true
	echo "snapshots $(grep -c '"name"' "$work/snapshots" || true)"
}

command=${1:-}
case $command in
check) [ -x "$tally" ] || die "$tally is not built (make)" ;;
version) "$tally" version | sed -n 's/^tally /Tally /p' ;;
w1) begin "${3:?DIR}" && measure --seconds "$2" ;;
w1_one) begin "${3:?DIR}" && measure --seconds "$2" --in-flight 1 ;;
w2a) begin "${3:?DIR}" && measure --seconds "$2" --work single --connections 64 --in-flight 1 ;;
w2b) begin "${3:?DIR}" && measure --seconds "$2" --work single --connections 1 --in-flight 64 ;;
w3) begin "${3:?DIR}" && generate --seconds "$2" --work events && lines ;;
w4a) begin "${3:?DIR}" && generate --seconds "$2" --rate "${RATE:?}" --in-flight 4 && lines ;;
w4b)
	begin "${3:?DIR}"
	generate --seconds "$2" --rate "${RATE:?}" --work single --connections 64 --in-flight 1
	lines
	;;
w4a_snapshot)
	begin "${3:?DIR}"
	generate --work none
	snapshots_begin
	generate --setup no --seconds "$2" --rate "${RATE:?}" --in-flight 4
	snapshots_end
	lines
	;;
w4b_snapshot)
	begin "${3:?DIR}"
	generate --work none
	snapshots_begin
	generate --setup no --seconds "$2" --rate "${RATE:?}" --work single --connections 64 --in-flight 1
	snapshots_end
	lines
	;;
http_array) begin "${3:?DIR}" && http_load --connections 1 --rows 1000 --seconds "$2" ;;
http_single) begin "${3:?DIR}" && http_load --connections 64 --seconds "$2" ;;
w5) begin "${3:?DIR}" && w5 "$2" ;;
w6) begin "${2:?DIR}" && w6 ;;
restart)
	SERVE_OPTIONS="--snapshot-interval 0 --snapshot-log-bytes 0 --snapshot-rate 0 ${SERVE_OPTIONS:-}"
	begin "${3:?DIR}"
	restart "$2"
	;;
*) sed -n 's/^# \{0,1\}//; 2,13p' "$0" >&2; exit 64 ;;
esac
