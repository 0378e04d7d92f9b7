#!/bin/bash
# Checks what a compiler does not: include directions (layers.txt), banned functions, headers that stand alone, sizes of
# files, the top level.  Every violation is a line FILE:LINE: what; the last line is the verdict.
#
# usage: [CC=cc] [INCLUDE=DIR] tests/tidy/tidy.sh      from the root of the repository
set -u
cc=${CC:-cc}
include=${INCLUDE:-build/deps/include}
found=$(mktemp)
trap 'rm -f "$found"' EXIT

mapfile -t sources < <(find engine net wal snapshot bench tests -name '*.[ch]' 2>/dev/null | LC_ALL=C sort)
mapfile -t product < <(printf '%s\n' "${sources[@]}" | grep -E '^(engine|net|wal|snapshot)/')
mapfile -t headers < <(printf '%s\n' "${sources[@]}" | grep '\.h$')

# Include directions.
awk '
FILENAME == ARGV[1] {
	sub(/#.*/, "")
	if (!NF)
		next
	folder = $1
	$1 = ""
	if (folder ~ /!$/)
		ban[substr(folder, 1, length(folder) - 1)] = $0 " "
	else
		allow[substr(folder, 1, length(folder) - 1)] = $0
	next
}
/^[ \t]*#[ \t]*include/ {
	name = $0
	sub(/^[^"<]*["<]/, "", name)
	sub(/[">].*/, "", name)
	for (folder in ban)
		if (index(FILENAME, folder "/") == 1 && index(ban[folder], " " name " "))
			print FILENAME ":" FNR ": " folder " does not include <" name ">"
	if ($0 !~ /"/)
		next
	if (name !~ /^(engine|net|wal|snapshot|bench|tests)\//) {
		print FILENAME ":" FNR ": \"" name "\" is not a path from the root"
		next
	}
	layer = ""
	for (folder in allow)
		if (index(FILENAME, folder "/") == 1 && length(folder) > length(layer))
			layer = folder
	count = split(allow[layer], prefixes, " ")
	for (i = 1; i <= count; i++)
		if (index(name, prefixes[i] "/") == 1)
			next
	print FILENAME ":" FNR ": " layer " does not include \"" name "\""
}' tests/tidy/layers.txt "${sources[@]}" >>"$found"

# Banned functions; comments and texts are blanked out first.
awk '
FNR == 1 { comment = 0 }
{
	line = $0
	code = ""
	while (line != "") {
		if (comment) {
			at = index(line, "*/")
			if (!at)
				break
			comment = 0
			line = substr(line, at + 2)
		} else if (match(line, /\/\*|\/\/|"|\047/)) {
			code = code substr(line, 1, RSTART - 1)
			mark = substr(line, RSTART, RLENGTH)
			line = substr(line, RSTART + RLENGTH)
			if (mark == "//")
				break
			if (mark == "/*") {
				comment = 1
			} else {
				pattern = mark == "\"" ? "^([^\"\\\\]|\\\\.)*\"" : "^([^\047\\\\]|\\\\.)*\047"
				code = code "_"
				line = match(line, pattern) ? substr(line, RLENGTH + 1) : ""
			}
		} else {
			code = code line
			break
		}
	}
	code = " " code
	if (match(code, /[^A-Za-z0-9_](strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atof|gets|alloca)[ \t]*\(/))
		print FILENAME ":" FNR ": banned: " substr(code, RSTART + 1, RLENGTH - 2)
	if (FILENAME ~ /^(engine|net|wal|snapshot)\// && FILENAME != "engine/base/mem.c" &&
	    match(code, /[^A-Za-z0-9_](malloc|calloc|realloc|free|strdup|strndup|asprintf|aligned_alloc|posix_memalign)[ \t]*\(/))
		print FILENAME ":" FNR ": only engine/base/mem.c calls " substr(code, RSTART + 1, RLENGTH - 2)
}' "${sources[@]}" >>"$found"

# Codes of refusals: a status and a code beside each other are a row of the table, and every row is used.
awk '
FILENAME == ARGV[1] {
	if (match($0, /X\([a-z_0-9]+, [0-9]+, [0-9]+, /)) {
		split(substr($0, RSTART + 2, RLENGTH - 2), row, ", ")
		status[row[1]] = row[2] " " row[3]
		line_of[row[1]] = FNR
	}
	next
}
FILENAME == ARGV[2] {
	if (match($0, /X\([0-9]+, [A-Z_0-9]+, "[a-z_0-9]+"/)) {
		split(substr($0, RSTART, RLENGTH), row, "\"")
		refusal[row[2]] = 1
	}
	next
}
{
	if (FNR == 1)
		before = ""
	rest = before $0
	while (match(rest, /[45][0-9][0-9],[ \t]*"[a-z][a-z_0-9]*"/)) {
		split(substr(rest, RSTART, RLENGTH), use, /[ \t,"]+/)
		rest = substr(rest, RSTART + RLENGTH)
		if (use[2] in refusal && !(use[2] in status))
			continue
		if (!(use[2] in status))
			print FILENAME ":" FNR ": the code " use[2] " is not in " ARGV[1]
		else if (index(" " status[use[2]] " ", " " use[1] " ") == 0)
			print FILENAME ":" FNR ": the code " use[2] " has another status in " ARGV[1]
	}
	before = ""
	if (match($0, /[45][0-9][0-9],[ \t]*$/))
		before = substr($0, RSTART)
	if (match($0, /ref_(unknown|inactive) = "[a-z_0-9]+"/)) {
		split(substr($0, RSTART, RLENGTH), use, "\"")
		if (!(use[2] in status))
			print FILENAME ":" FNR ": the code " use[2] " is not in " ARGV[1]
	}
	rest = $0
	while (match(rest, /"[a-z][a-z_0-9]*"/)) {
		used[substr(rest, RSTART + 1, RLENGTH - 2)] = 1
		rest = substr(rest, RSTART + RLENGTH)
	}
}
END {
	for (code in status)
		if (!(code in used))
			print ARGV[1] ":" line_of[code] ": no refusal has the code " code
}' engine/base/problem_codes.h engine/ledger/refusal.h "${product[@]}" >>"$found"

# Sizes, and the licence in the first line.
awk '
FNR == 1 && $0 != "// SPDX-License-Identifier: Apache-2.0" { print FILENAME ":1: the first line is not the licence" }
FNR == 1201 { print FILENAME ":1201: more than 1200 lines" }' "${sources[@]}" >>"$found"

# Every header compiles alone.
printf '%s\n' "${headers[@]}" | xargs -r -P "$(nproc)" -I{} sh -c '
	printf "#include \"%s\"\nint tidy_unit;\n" "$1" |
		"$2" -std=c17 -Wall -Wextra -Werror -D_GNU_SOURCE -I. -I"$3" -fsyntax-only -x c - >/dev/null 2>&1 ||
		echo "$1:1: does not compile alone"' _ {} "$cc" "$include" >>"$found"

# The top level.
wanted=" Makefile engine net wal snapshot bench tests docs README.md LICENSE "
for name in *; do
	case $name in build | data) continue ;; esac
	[[ $wanted == *" $name "* ]] || echo "$name:1: does not belong to the top level" >>"$found"
done
for name in $wanted; do
	[[ -e $name ]] || echo "$name:1: is missing from the top level" >>"$found"
done

LC_ALL=C sort -t: -k1,1 -k2,2n "$found"
count=$(wc -l <"$found")
if ((count > 0)); then
	echo "tidy: $count violations in ${#sources[@]} files (${#product[@]} of the product)"
	exit 1
fi
echo "tidy: ${#sources[@]} files, no violation"
