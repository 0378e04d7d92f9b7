#!/bin/bash
# Runs each fuzz target for some seconds, from the inputs of tests/fuzz/corpus/NAME and what earlier runs found, with the
# words of tests/fuzz/NAME.dict.
#
# usage: run-fuzz.sh BUILD SECONDS [ONLY]      ONLY: part of the names; =NAME: that one
set -eu
build=${1:?usage: run-fuzz.sh BUILD SECONDS [ONLY]}
seconds=${2:?usage: run-fuzz.sh BUILD SECONDS [ONLY]}
only=${3:-}
count=0
for source in tests/fuzz/fuzz_*.c; do
	[[ -e $source ]] || continue
	name=$(basename "$source" .c)
	name=${name#fuzz_}
	[[ -z $only || =$name == "$only" || $name == *"$only"* ]] || continue
	found=$build/fuzz/corpus/$name
	mkdir -p "$found"
	seeds=()
	[[ ! -d tests/fuzz/corpus/$name ]] || seeds=("tests/fuzz/corpus/$name")
	[[ ! -f tests/fuzz/$name.dict ]] || seeds+=("-dict=tests/fuzz/$name.dict")
	echo "fuzz $name: $seconds s"
	log=$build/fuzz/$name.log
	if ! "$build/fuzz/${source%.c}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
		-artifact_prefix="$build/fuzz/$name-" "$found" "${seeds[@]}" >"$log" 2>&1; then
		tail -n 60 "$log"
		echo "fuzz $name: FAILED; the input lies in $build/fuzz/$name-*" >&2
		exit 1
	fi
	tail -n 1 "$log"
	count=$((count + 1))
done
if ((!count)); then
	echo "no fuzz target has \"$only\" in its name: $(cd tests/fuzz && ls fuzz_*.c | sed 's/fuzz_//; s/[.]c//' | xargs)" >&2
	exit 1
fi
echo "$count fuzz targets, no finding"
