#!/usr/bin/env bash
# make bench: W2 over HTTP (64 connections, one event a request, one earning rule) beside nginx answering a constant, and one
# connection with arrays of 1,000 events.  The two servers take turns; medians of RUNS=3 runs of SECONDS_EACH=5 s.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${RUNS:-3} seconds=${SECONDS_EACH:-5}
out=build/release/bench
mkdir -p "$out" bench/results
${CC:-cc} -std=c17 -O2 -Wall -Wextra -Werror -D_GNU_SOURCE bench/http_load.c -o "$out/http_load"

free_mb=$(df -Pm . | awk 'NR==2 {print $4}')
if [ "$free_mb" -lt 8192 ]; then
	echo "bench: only $free_mb MiB of disk are free; 8192 are needed" >&2
	exit 1
fi
work=$(mktemp -d ./build/bench.XXXXXX)
pids=()
finish() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT

port_free() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }

nginx_port=$(port_free)
cat >"$work/nginx.conf" <<CONF
worker_processes 1; daemon off; pid $PWD/${work#./}/nginx.pid; error_log $PWD/${work#./}/nginx.err;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000000; client_body_buffer_size 1m;
  server { listen 127.0.0.1:$nginx_port; location / { default_type application/json; return 200 '{"message":"constant"}'; } } }
CONF
nginx=$(command -v nginx || echo /usr/sbin/nginx)
"$nginx" -c "$PWD/${work#./}/nginx.conf" -e "$PWD/${work#./}/nginx.err" &
pids+=($!)
for _ in $(seq 100); do curl -fsS -o /dev/null "http://127.0.0.1:$nginx_port/" 2>/dev/null && break; sleep 0.05; done

tally_start() {
	rm -rf "$work/data" "$work/ready"
	build/tally serve --data "$work/data" --http 127.0.0.1:0 --ready-file "$work/ready" 2>>"$work/tally.log" &
	tally_pid=$!
	pids+=("$tally_pid")
	for _ in $(seq 200); do [ -s "$work/ready" ] && break; sleep 0.05; done
	tally_port=$(sed -n 's/^http .*:\([0-9]*\)$/\1/p' "$work/ready" | head -1)
	curl -fsS -o /dev/null -X POST "http://127.0.0.1:$tally_port/admin/event-types" -H 'Content-Type: application/json' \
		-H 'X-Brand: BENCH' -d '{"key":"PURCHASE","origin":"EXTERNAL","name":"Purchase"}'
	curl -fsS -o /dev/null -X POST "http://127.0.0.1:$tally_port/rules" -H 'Content-Type: application/json' \
		-H 'X-Brand: BENCH' -d '{"event_type":"PURCHASE","conditions":null,"actions":[{"type":"earn_points_from_amount","rate":1.0}]}'
}
tally_stop() { kill "$tally_pid"; wait "$tally_pid" || true; rm -rf "$work/data"; }

for run in $(seq "$runs"); do
	"$out/http_load" 127.0.0.1 "$nginx_port" --connections 64 --seconds "$seconds" --get / >>"$work/nginx"
	tally_start
	"$out/http_load" 127.0.0.1 "$tally_port" --connections 64 --seconds "$seconds" --seed "$run" >>"$work/single"
	tally_stop
	tally_start
	"$out/http_load" 127.0.0.1 "$tally_port" --connections 1 --rows 1000 --seconds "$seconds" --seed "$run" >>"$work/array"
	tally_stop
done

python3 - "$work" "$runs" "$seconds" <<'PY' | tee "bench/results/http-$(date -u +%Y-%m-%d).md"
import json, os, statistics, sys
work, runs, seconds = sys.argv[1:4]
rows = {}
for name in ("nginx", "single", "array"):
    with open(os.path.join(work, name)) as f:
        lines = [json.loads(line) for line in f]
    rows[name] = {key: statistics.median(line[key] for line in lines) for key in lines[0]}
cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
print(f"Machine: {os.cpu_count()} cores, {cpu}; {runs} runs of {seconds} s in turn, medians. Command: `make bench`.\n")
print("| work | requests/s | events/s | p50 us | p99 us | p99.9 us | of nginx |")
print("|---|---|---|---|---|---|---|")
for name, title in (("nginx", "nginx, constant answer, 64 connections"), ("single", "Tally, durable event, 64 connections x 1"),
                    ("array", "Tally, arrays of 1,000 events, 1 connection")):
    r = rows[name]
    ratio = r["requests_per_s"] / rows["nginx"]["requests_per_s"]
    events = "-" if name == "nginx" else f"{r['events_per_s']:,.0f}"
    share = "-" if name == "array" else f"{ratio:.2f}"
    print(f"| {title} | {r['requests_per_s']:,.0f} | {events} | {r['p50_us']:,.0f} | {r['p99_us']:,.0f} | {r['p999_us']:,.0f} | {share} |")
PY
