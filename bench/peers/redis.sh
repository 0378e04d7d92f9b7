#!/usr/bin/env bash
# Redis as a peer: appendfsync=always, one Lua script a batch (redis.lua).  See common.sh.
#
# Debian's redis-tools already holds the server's program under the name of one of its tools, so that no service need
# be installed.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
peer=redis
w1_options="--connections 4 --depth 1 --batch 1000"
peer_options="--script $peers/redis.lua"

program=$(command -v redis-server || command -v redis-check-rdb || true)
cli() { redis-cli -h 127.0.0.1 -p "$port" "$@"; }

peer_check() {
	[ -n "$program" ] || die "neither redis-server nor redis-check-rdb (Debian: redis-tools) is installed"
	command -v redis-cli >/dev/null || die "redis-cli is not installed (Debian: redis-tools)"
}
peer_version() { (exec -a redis-server "$program" --version) | sed -n 's/^Redis server v=\([^ ]*\).*/Redis \1/p'; }

# A rewrite of the log would be a snapshot: none during a run.
peer_start() {
	mkdir -p "$work/data"
	(exec -a redis-server "$program" --port "$port" --bind 127.0.0.1 --dir "$work/data" --daemonize no --save "" \
		--appendonly yes --appendfsync always --auto-aof-rewrite-percentage 0 --maxclients 1000 >>"$work/log" 2>&1) &
	server=$!
}
peer_ready() { [ "$(cli ping 2>/dev/null)" = PONG ]; }
peer_fill() {
	printf 'SETRANGE members %s "\\x00"\nSETRANGE tenants %s "\\x00"\n' $((members * 8 - 1)) $((tenants * 8 - 1)) |
		cli >/dev/null
}
# shellcheck disable=SC2016
peer_state() {
	cli --raw eval '
		local sums = {}
		for _, key in ipairs({ "members", "tenants" }) do
			local sum = 0
			for first = 0, redis.call("STRLEN", key) / 8 - 1, 1000 do
				local get = {}
				for i = first, math.min(first + 999, redis.call("STRLEN", key) / 8 - 1) do
					get[#get + 1] = "GET"
					get[#get + 1] = "i64"
					get[#get + 1] = "#" .. i
				end
				for _, balance in ipairs(redis.call("BITFIELD", key, unpack(get))) do sum = sum + balance end
			end
			sums[#sums + 1] = string.format("%.0f", sum)
		end
		return table.concat(sums, " ") .. " " .. redis.call("SCARD", "ids")' 0
}

peer_main "$@"
