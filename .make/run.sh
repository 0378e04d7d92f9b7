#!/bin/bash
# `make run`: the server in the foreground, the sample loader beside it.
#
# The sample is the CDNOW purchases out of PyPI's package `lifetimes`; where pip cannot bring it, `tally sample` makes
# purchases from a seed.  Ctrl-C reaches the server, which drains and ends; the loader is ended with it.
set -u
sample=build/sample
csv=$sample/cdnow.csv
url=http://127.0.0.1:8000

# Brings the data set into build/sample once; quiet, and without it the synthetic purchases do.
fetch() {
	[[ ! -s $csv ]] || return 0
	mkdir -p "$sample"
	if ! python3 -m pip --version >/dev/null 2>&1; then
		[[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
		echo "installing: python3-pip (it brings the sample)"
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-pip >/dev/null 2>&1 || return 1
	fi
	echo "fetching the sample: the CDNOW purchases of the package lifetimes"
	python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$sample" \
		'lifetimes==0.11.3' >/dev/null 2>&1 &&
		python3 .make/sample.py "$sample" "$csv"
}

if (exec 3<>/dev/tcp/127.0.0.1/8000) 2>/dev/null; then
	echo "make run: port 8000 of 127.0.0.1 is taken; stop what listens there, or run: build/tally serve --http 127.0.0.1:8001" >&2
	exit 1
fi
fetch || echo "the CDNOW purchases could not be fetched; the sample will be synthetic"

loader=
if [[ -s $csv ]]; then
	build/tally sample --to "$url" --file "$csv" &
else
	build/tally sample --to "$url" &
fi
loader=$!
# The server is the one that ends on the signal; this script only waits for it.
trap : INT TERM
build/tally serve --data ./data --http 127.0.0.1:8000 &
server=$!
trap 'kill -TERM "$server" 2>/dev/null' INT TERM
wait "$server"
status=$?
# A signal ends the first wait; the second one gets the server's own status.
while kill -0 "$server" 2>/dev/null; do
	wait "$server"
	status=$?
done
kill "$loader" 2>/dev/null
wait "$loader" 2>/dev/null
exit "$status"
