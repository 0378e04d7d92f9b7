# shellcheck shell=bash disable=SC1007,SC2154
# What the peers' drivers share; read by tarantool.sh, postgresql.sh and redis.sh, which say what is particular:
#
#   peer_check      prints why it cannot run here and fails, or is silent
#   peer_version    one line
#   peer_start      starts the server on $port with its data in $work, as a child whose pid it leaves in $server
#   peer_fill       once the server answers for the first time: the accounts
#   peer_ready      succeeds when the server answers
#   peer_state      prints the members' sum, the tenants' sum and the number of ids
#   peer_disk       prints the bytes that the server has written to stay (default: the sizes of the files in $work)
#   peer_memory     prints the bytes of memory that it holds (default: the proportional set size of all its processes)
#   peer_options    options of peer_load that are always given; w1_options, w2a_options, w2b_options: those of one
#                   work (w2b_options empty: that work is not for this engine, and nothing is measured)
#
# Usage of a driver:
#   NAME.sh check | version
#   NAME.sh w1 SECONDS DIR     durable transfers in batches
#   NAME.sh w2a SECONDS DIR    one transfer a request, 64 connections x 1
#   NAME.sh w2b SECONDS DIR    one transfer a request, 1 connection x 64
#   NAME.sh w5 COUNT DIR       COUNT transfers (5000000), kill -9, start: seconds to the first durable answer
#   NAME.sh w6 DIR             memory and disk bytes of a transfer after W6_COUNT=5000000
#
# Output: `key value` lines.  Environment: PEER_BIN (where peer_load is; build/release/bench), MEMBERS (1000000),
# W1_OPTIONS (replaces the batch and concurrency of w1).  The server listens on a free port of 127.0.0.1; its data are
# in a folder of their own in DIR, which is removed at the end, also after an interrupt; only processes that were
# started here are ended.
set -euo pipefail
peers=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PEER_BIN=${PEER_BIN:-$peers/../../build/release/bench}
members=${MEMBERS:-1000000}
tenants=10
server= loader= work= port=
w2a_options="--connections 64 --depth 1 --batch 1"
w2b_options="--connections 1 --depth 64 --batch 1"

die() {
	echo "$(basename "$0"): $*" >&2
	exit 1
}

# A process and all below it.
family() {
	local child
	echo "$1"
	for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do family "$child"; done
}

# kill -9 of the whole server; returns when nothing of it is left.
server_kill() {
	[ -n "$server" ] || return 0
	local pids pid
	pids=$(family "$server")
	# shellcheck disable=SC2086
	kill -9 $pids 2>/dev/null || true
	wait "$server" 2>/dev/null || true
	for pid in $pids; do
		while [ -e "/proc/$pid" ]; do sleep 0.01; done
	done
	server=
}

finish() {
	local status=$?
	trap - EXIT
	trap '' INT TERM HUP
	[ -z "$loader" ] || kill -9 "$loader" 2>/dev/null || true
	server_kill
	if [ -n "$work" ]; then
		[ "$status" = 0 ] || tail -n 20 "$work/log" >&2 2>/dev/null || true
		rm -rf "$work"
	fi
	exit "$status"
}

work_begin() {
	mkdir -p "$1"
	work=$(mktemp -d "$(cd "$1" && pwd)/peer.XXXXXX")
	trap finish EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	port=$("$PEER_BIN/peer_load" --free-port)
}

server_begin() {
	peer_start
	local tries=0
	until peer_ready; do
		kill -0 "$server" 2>/dev/null || die "the server ended"
		tries=$((tries + 1))
		[ "$tries" -lt 3000 ] || die "the server does not answer"
		sleep 0.02
	done
	peer_fill
}

# Runs peer_load; what it prints is in $work/load, and its numbers by name in `value`.
declare -A value
load() {
	# In the background, so that a signal is answered at once.
	# shellcheck disable=SC2086
	"$PEER_BIN/peer_load" "$peer" --port "$port" --members "$members" --tenants "$tenants" $peer_options "$@" \
		>"$work/load" &
	loader=$!
	wait "$loader" || { loader=; die "the load failed"; }
	loader=
	local key number
	while read -r key number; do value[$key]=$number; done <"$work/load"
	moved=$((${moved:-0} + value[moved]))
	transfers=$((${transfers:-0} + value[transfers]))
	repeated=$((${repeated:-0} + value[repeat_applied]))
}

peer_memory() {
	local pid kilobytes=0 part
	for pid in $(family "$server"); do
		part=$(awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup" 2>/dev/null || true)
		kilobytes=$((kilobytes + ${part:-0}))
	done
	echo $((kilobytes * 1024))
}

peer_disk() { du -sb "$work" | cut -f1; }

sizes_begin() { memory_before=$(peer_memory) disk_before=$(peer_disk); }
sizes_end() {
	local memory disk
	memory=$(peer_memory) disk=$(peer_disk)
	awk -v n="$transfers" -v m="$((memory - memory_before))" -v d="$((disk - disk_before))" -v all="$memory" 'BEGIN {
		printf "disk_bytes_per_transfer %.1f\nmemory_bytes_per_transfer %.1f\nmemory_mb %.0f\n", d / n, m / n, all / 1e6 }'
}

# What was acknowledged is there, once, and the books balance.
verify() {
	local state
	state=$(peer_state)
	if [ "$state" = "$moved -$moved $transfers" ] && [ "$repeated" = 0 ]; then
		echo "verified 1"
	else
		echo "verified 0"
		die "members, tenants, ids: $state; wanted: $moved -$moved $transfers; applied again: $repeated"
	fi
}

measure() {
	local seconds=$1
	shift
	server_begin
	sizes_begin
	load --seconds "$seconds" "$@"
	grep -v -e '^moved ' -e '^repeat_applied ' "$work/load"
	sizes_end
	verify
}

fill_count() {
	server_begin
	sizes_begin
	# shellcheck disable=SC2086
	load --count "$1" $w1_options
	echo "load_transfers_per_s ${value[transfers_per_s]}"
	echo "transfers $transfers"
	sizes_end
}

# The first answer is a transfer's: the server takes writes again.
recover() {
	local from to
	server_kill
	from=$(date +%s%N)
	peer_start
	# shellcheck disable=SC2086
	load $w2a_options --connections 1 --wait 600 --count 1
	to=$(date +%s%N)
	awk -v ns=$((to - from)) 'BEGIN { printf "recovery_s %.3f\n", ns / 1e9 }'
	until peer_ready; do sleep 0.02; done
	verify
}

peer_main() {
	w1_options=${W1_OPTIONS:-$w1_options}
	case ${1:-} in
	check | version | w1 | w2a | w2b | w5 | w6) ;;
	*) die "usage: $(basename "$0") check | version | w1|w2a|w2b SECONDS DIR | w5 COUNT DIR | w6 DIR" ;;
	esac
	if [ "$1" != version ]; then
		[ -x "$PEER_BIN/peer_load" ] || die "$PEER_BIN/peer_load is not built (make bench-peers)"
		peer_check
	fi
	# shellcheck disable=SC2086
	case $1 in
	check) ;;
	version) peer_version ;;
	w1) work_begin "${3:?DIR}" && measure "$2" $w1_options ;;
	w2a) work_begin "${3:?DIR}" && measure "$2" $w2a_options ;;
	w2b)
		[ -n "$w2b_options" ] || { echo "# not for this engine" && return; }
		work_begin "${3:?DIR}" && measure "$2" $w2b_options
		;;
	w5) work_begin "${3:?DIR}" && fill_count "${2:-5000000}" && recover ;;
	w6) work_begin "${2:?DIR}" && fill_count "${W6_COUNT:-5000000}" && verify ;;
	esac
}
