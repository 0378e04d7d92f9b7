#!/usr/bin/env bash
# PostgreSQL as a peer: synchronous_commit=on, one set-based statement a batch (postgresql.sql).  See common.sh.
#
# A cluster of its own in DIR, never the machine's.  As root the server runs as the user postgres, since it refuses
# root; DIR must then be reachable for that user (DIR itself is opened for passing through).
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
peer=postgresql
w1_options="--connections 2 --depth 1 --batch 5000"
w2a_options="$w2a_options --script $peers/postgresql-one.sql"
w2b_options=
peer_options="--script $peers/postgresql.sql"

bindir=
for folder in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V); do
	[ ! -x "$folder/postgres" ] || bindir=$folder
done
if [ -z "$bindir" ] && command -v postgres >/dev/null; then
	bindir=$(dirname "$(readlink -f "$(command -v postgres)")")
fi

peer_check() {
	[ -n "$bindir" ] || die "PostgreSQL's server is not installed"
	[ -x "$bindir/initdb" ] || die "$bindir has no initdb"
	[ "$(id -u)" != 0 ] || id postgres >/dev/null 2>&1 || die "there is no user postgres to run it as"
}
peer_version() { "$bindir/postgres" --version | sed -n 's/^postgres (PostgreSQL) \([0-9.]*\).*/PostgreSQL \1/p'; }

# Who may come in over loopback is whoever knows a password of this run's.
PGPASSWORD=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export PGPASSWORD

# As an array: the command becomes the server (no process between), so that $! is its pid.
as=()
[ "$(id -u)" != 0 ] || as=(setpriv --reuid=postgres --regid=postgres --init-groups --reset-env)

query() {
	"$bindir/psql" -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U postgres -d postgres -At -F ' ' "$@"
}

# No checkpoint during a run: each would be followed by a full image of every page, and recovery is to read the whole log.
peer_start() {
	if [ ! -e "$work/data/PG_VERSION" ]; then
		mkdir -p "$work/data"
		if [ "$(id -u)" = 0 ]; then
			chmod go+x "$work" "$(dirname "$work")"
			chown postgres: "$work/data"
			chmod 0700 "$work/data"
			"${as[@]}" test -w "$work/data" || die "the user postgres cannot reach $work"
		fi
		# The password goes through a pipe that the server's user opens: no file and no command line holds it.
		# shellcheck disable=SC2016
		(cd / && echo "$PGPASSWORD" | "${as[@]}" bash -c '"$1" -D "$2" -U postgres --auth=password --pwfile=<(cat) \
			--encoding=UTF8 --locale=C --no-sync --wal-segsize=64' _ "$bindir/initdb" "$work/data") >>"$work/log" 2>&1
		local quarter
		quarter=$(awk '/^MemTotal:/ { q = int($2 / 4096); print q < 6144 ? q : 6144 }' /proc/meminfo)
		cat >>"$work/data/postgresql.conf" <<-CONF
			listen_addresses = '127.0.0.1'
			unix_socket_directories = ''
			max_connections = 100
			fsync = on
			synchronous_commit = on
			full_page_writes = on
			shared_buffers = ${quarter}MB
			wal_buffers = 64MB
			wal_level = minimal
			max_wal_senders = 0
			max_wal_size = 64GB
			min_wal_size = 4GB
			checkpoint_timeout = 1d
			autovacuum = off
			jit = off
			plan_cache_mode = force_generic_plan
			work_mem = 64MB
			wal_compression = lz4
			log_min_messages = fatal
			log_min_error_statement = panic
		CONF
	fi
	(cd / && exec "${as[@]}" "$bindir/postgres" -D "$work/data" -p "$port") >>"$work/log" 2>&1 &
	server=$!
}
peer_ready() { [ "$(query -c 'SELECT 1' 2>/dev/null)" = 1 ]; }
# Room in each page for the next versions of its rows, so that updates stay on it.
peer_fill() {
	query -c "
		CREATE TABLE tenants (id int4 PRIMARY KEY, balance int8 NOT NULL) WITH (fillfactor = 10);
		CREATE TABLE members (id int4 PRIMARY KEY, balance int8 NOT NULL) WITH (fillfactor = 50);
		CREATE TABLE transfers (id uuid PRIMARY KEY, tenant int4 NOT NULL, member int4 NOT NULL,
			amount int4 NOT NULL);
		INSERT INTO tenants SELECT n, 0 FROM generate_series(0, $tenants - 1) n;
		INSERT INTO members SELECT n, 0 FROM generate_series(0, $members - 1) n;" -c 'VACUUM ANALYZE' -c 'CHECKPOINT'
}
peer_state() {
	query -c 'SELECT (SELECT sum(balance) FROM members), (SELECT sum(balance) FROM tenants),
		(SELECT count(*) FROM transfers)'
}
# The log counts by its length, not by its segments: these are made ahead and used again.
peer_disk() {
	query -c "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::int8
		+ pg_database_size(current_database())"
}
# Sizes of processes say nothing about buffers that all share; what the tables and indexes take is in them as long as
# it fits.
peer_memory() { query -c 'SELECT pg_database_size(current_database())'; }

peer_main "$@"
