#!/usr/bin/env bash
# Tarantool as a peer: memtx, wal_mode=fsync, a stored procedure in C (tarantool.lua, tarantool_earn.c).  See common.sh.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
peer=tarantool
w1_options="--connections 4 --depth 1 --batch 1000"
peer_options=

peer_check() {
	command -v tarantool >/dev/null || die "tarantool is not installed"
	[ -e "$PEER_BIN/tarantool_earn.so" ] ||
		die "$PEER_BIN/tarantool_earn.so is not built (Debian: tarantool-dev; make bench-peers)"
}
peer_version() { tarantool --version | sed -n 's/^Tarantool \([0-9.]*\).*/Tarantool \1/p'; }

# Room for the data: half of the machine's memory; it is taken as it is filled.
peer_start() {
	mkdir -p "$work/data"
	PEER_PORT=$port PEER_DIR=$work/data PEER_BIN=$(cd "$PEER_BIN" && pwd) PEER_MEMBERS=$members PEER_TENANTS=$tenants \
		PEER_MEMORY=$(awk '/^MemTotal:/ { printf "%.0f", $2 * 512 }' /proc/meminfo) \
		tarantool "$peers/tarantool.lua" >>"$work/log" 2>&1 &
	server=$!
}
call() {
	PEER_PORT=$port PEER_CALL=$1 tarantool -e "
		local c = require('net.box').connect('127.0.0.1:' .. os.getenv('PEER_PORT'))
		local ok, answer = pcall(c.call, c, os.getenv('PEER_CALL'))
		if ok then print(answer) end
		os.exit(ok and 0 or 1)" 2>/dev/null
}
# The server listens when the accounts are there (tarantool.lua).
peer_ready() { [ "$(call peer_ready)" = true ]; }
peer_fill() { true; }
peer_state() { call peer_state; }

peer_main "$@"
