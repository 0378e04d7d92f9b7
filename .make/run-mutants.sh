#!/bin/bash
# Runs the simulator against every seeded mutant (tests/sim/mutants.txt): each must break a law, and the table says after how
# many seeds.  First without any, to see that nothing else breaks one.  Those of "NAME: what" are for test_NAME beside PROGRAM.
#
# usage: run-mutants.sh PROGRAM LIST SEEDS      ONLY: numbers to run
set -u
program=${1:?usage: run-mutants.sh PROGRAM LIST SEEDS}
list=${2:?} seeds=${3:?}
only=${ONLY:-}
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

# mutant NUMBER WHAT: one line, and a file for the verdict
mutant() {
	local number=$1 what=$2 log found run=$program
	[[ $what =~ ^([a-z]+):\  ]] && run=$(dirname "$program")/test_${BASH_REMATCH[1]}
	log=$results/log-$number
	if ((number == 0)); then
		MUTANT=0 SEEDS=60 timeout 300 "$program" >"$log" 2>&1 && return
		echo "without a mutant:"
		grep -a '^seed' "$log"
		touch "$results/bad"
		return
	fi
	MUTANT=$number STOP=1 JOBS=1 SEEDS=$seeds timeout 900 "$run" >"$log" 2>&1
	found=$(grep -a -o -m 1 '^seed [0-9]*: .*' "$log")
	if [[ -z $found ]]; then
		printf '%3d  %-55s  NOT FOUND in %d seeds\n' "$number" "$what" "$seeds"
		touch "$results/bad"
		return
	fi
	found=${found#seed }
	[[ $found == *aborted ]] && found="${found%aborted}$(grep -a -m 1 -o 'assertion failed: .*' "$log")"
	printf '%3d  %-55s  %5d seeds  %.90s\n' "$number" "$what" "${found%%:*}" "${found#*: }"
	touch "$results/found-$number"
}

mutant 0 none
count=0
while read -r number what; do
	[[ $number == \#* || -z $number ]] && continue
	[[ -n $only && " $only " != *" $number "* ]] && continue
	while (($(jobs -rp | wc -l) >= $(nproc))); do wait -n; done
	mutant "$number" "$what" &
	count=$((count + 1))
done <"$list"
wait
found=$(find "$results" -name 'found-*' | wc -l)
echo "$found of $count mutants found"
((found == count)) && [[ ! -e $results/bad ]]
