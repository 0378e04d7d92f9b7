#!/usr/bin/env bash
# make bench: the same work on Tally, on the bare path and on each peer that is installed, in turn, in RUNS rounds; one
# table of medians and ratios goes to the screen and, with the machine's facts, to bench/results/.
#
#   w1    durable earn transfers in batches over 1,000,000 members       bare path, Tally (2 and 1 in flight), peers
#   w2    the same, one a request: 64 connections x 1, 1 connection x 64 bare path, Tally, peers
#   w3    events through a rule, arrays over MessagePack-RPC             Tally
#   http  events over HTTP: 64 connections x 1, arrays of 1,000          Tally; nginx answering a constant
#   w4    open loop at half of what w1 and w2 reached, twice as long     Tally; after the rounds
#   w5    kill -9 after W5_COUNT transfers, time to the first answer     Tally, peers; after the rounds
#   w6    memory of an account and of an id, disk bytes of a transfer    Tally; after the rounds (peers: in w1)
#   w7    w1 and w2 with 1, 2, 4 ... shards up to the processors         Tally; after the rounds
#
# Environment: RUNS=3 rounds, SECONDS_EACH=30, ONLY="w1 w2 ..." (default: all), PEERS="redis ..." (default: all of
# bench/peers; none: PEERS=none), W5_COUNT=10000000, BENCH_DIR=build (data lie in a folder below it, which is removed).
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${RUNS:-3} seconds=${SECONDS_EACH:-30} count=${W5_COUNT:-10000000}
only=${ONLY:-w1 w2 w3 http w4 w5 w6 w7}
bin=build/release/bench
mkdir -p bench/results
for word in $runs $seconds $count; do
	[[ $word =~ ^[1-9][0-9]*$ ]] || { echo "bench: RUNS, SECONDS_EACH and W5_COUNT are whole numbers" >&2; exit 64; }
done
for word in $only; do
	[[ $word =~ ^(w[1-7]|http)$ ]] || { echo "bench: ONLY names \"$word\"; there are w1 to w7 and http" >&2; exit 64; }
done

work=$(mktemp -d "$(cd "${BENCH_DIR:-build}" && pwd)/bench.XXXXXX")
child= nginx_pid=
finish() {
	local status=$?
	trap - EXIT
	trap '' INT TERM HUP
	for pid in $child $nginx_pid; do
		kill "$pid" 2>/dev/null || true          # a driver ends its server and removes its data
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$work"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

wants() { [[ " $only " == *" $1 "* ]]; }

# The largest run writes at most 1 GB a second (w1), and the counted ones 2 KB a transfer (some peers).
disk_check() {
	local needed=$((4096 + (seconds + 2) * 1024)) free
	if wants w5 && [ $((4096 + count / 512)) -gt "$needed" ]; then needed=$((4096 + count / 512)); fi
	free=$(df -Pm "$work" | awk 'NR == 2 { print $4 }')
	[ "$free" -ge "$needed" ] || {
		echo "bench: $free MiB of disk are free, $needed are needed; a lower SECONDS_EACH or W5_COUNT needs less" >&2
		exit 1
	}
}

# measure WORK ENGINE COMMAND...: its lines `key value` go into the results as WORK ENGINE KEY VALUE.  The bare path
# puts its mode and a dot in front of each key, http_load prints one JSON object.
measure() {
	local what=$1 engine=$2
	shift 2
	disk_check
	printf '%-11s %-12s' "$what" "$engine" >&2
	"$@" >"$work/out" 2>"$work/err" </dev/null &
	child=$!
	if wait "$child"; then
		child=
		sed -e '/^#/d' -e 's/^[a-z0-9_]*\.//' -e 's/[{"}]//g; s/:/ /g; s/,/\n/g' "$work/out" |
			awk -v what="$what" -v engine="$engine" 'NF == 2 { print what, engine, $1, $2 }' >"$work/lines"
		cat "$work/lines" >>"$work/results"
		awk '$3 ~ /^(transfers_per_s|requests_per_s|p99_us|recovery_s|(memory|disk)_bytes_per_[a-z]*)$/ {
			printf "  %s %s", $3, $4 } END { print "" }' "$work/lines" >&2
	else
		child=
		echo "  failed:" >&2
		tail -n 5 "$work/err" >&2
		echo "$what $engine failed 1" >>"$work/results"
	fi
}

bare() { measure "$1" bare "$bin/bare_$2" --data "$work" --seconds "$seconds" --only "$3"; }
tally() { measure "$1" tally bench/tally.sh "$1" "$2" "$work"; }

peers=()
for driver in bench/peers/*.sh; do
	name=$(basename "$driver" .sh)
	if [ "$name" = common ] || { [ -n "${PEERS:-}" ] && [[ " $PEERS " != *" $name "* ]]; }; then continue; fi
	if reason=$("$driver" check 2>&1); then
		peers+=("$name")
	else
		echo "bench: without $name: $reason" >&2
	fi
done
each_peer() {
	local name
	for name in ${peers[@]+"${peers[@]}"}; do measure "$1" "$name" "bench/peers/$name.sh" "$1" "$2" "$work"; done
}
median() { awk -v what="$1" '$1 == what && $2 == "tally" && $3 == "transfers_per_s" { print $4 }' "$work/results" | sort -n |
	awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'; }

nginx_start() {
	local nginx port
	nginx=$(command -v nginx || echo /usr/sbin/nginx)
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	cat >"$work/nginx.conf" <<-CONF
		worker_processes 1; daemon off; pid $work/nginx.pid; error_log $work/nginx.err;
		events { worker_connections 1024; }
		http { access_log off; keepalive_requests 1000000000; client_body_buffer_size 1m;
		  server { listen 127.0.0.1:$port;
		    location / { default_type application/json; return 200 '{"message":"constant"}'; } } }
	CONF
	"$nginx" -c "$work/nginx.conf" -e "$work/nginx.err" &
	nginx_pid=$!
	for _ in $(seq 100); do
		curl -fsS -o /dev/null "http://127.0.0.1:$port/" 2>/dev/null && break
		sleep 0.05
	done
	measure http_single nginx "$bin/http_load" 127.0.0.1 "$port" --connections 64 --seconds "$seconds" --get /
	kill "$nginx_pid"
	wait "$nginx_pid" 2>/dev/null || true
	nginx_pid=
}

for round in $(seq "$runs"); do
	echo "round $round of $runs" >&2
	if wants w1 || wants w4; then
		bare w1_one batch 1
		tally w1_one "$seconds"
		bare w1 batch 2
		tally w1 "$seconds"
		if wants w1; then each_peer w1 "$seconds"; fi
	fi
	if wants w2 || wants w4; then
		bare w2a single 64x1
		tally w2a "$seconds"
		if wants w2; then each_peer w2a "$seconds"; fi
		bare w2b single 1x64
		tally w2b "$seconds"
		if wants w2; then each_peer w2b "$seconds"; fi
	fi
	if wants w3; then tally w3 "$seconds"; fi
	if wants http; then
		nginx_start
		tally http_single "$seconds"
		tally http_array "$seconds"
	fi
done
if wants w4; then
	for pair in w1:w4a w2a:w4b; do
		rate=$(median "${pair%:*}")
		[ -n "$rate" ] || continue
		RATE=$(awk -v rate="$rate" 'BEGIN { printf "%.0f", rate / 2 }')
		export RATE
		tally "${pair#*:}" $((seconds * 2))
	done
fi
if wants w5; then
	tally w5 "$count"
	each_peer w5 "$count"
fi
if wants w6; then measure w6 tally bench/tally.sh w6 "$work"; fi
if wants w7; then
	for ((shards = 1; shards <= $(nproc); shards *= 2)); do
		export SERVE_OPTIONS="--shards $shards"
		measure w7a "shards-$shards" bench/tally.sh w1 "$seconds" "$work"
		measure w7b "shards-$shards" bench/tally.sh w2a "$seconds" "$work"
		unset SERVE_OPTIONS
	done
fi

versions=$(bench/tally.sh version)
for name in ${peers[@]+"${peers[@]}"}; do versions+=", $("bench/peers/$name.sh" version)"; done
python3 bench/report.py "$work/results" "$runs" "$seconds" "$count" "$work" "$versions" |
	tee "bench/results/$(date -u +%Y-%m-%d-%H%M).md"
if grep -q ' failed 1$' "$work/results"; then
	echo "bench: some runs failed" >&2
	exit 1
fi
