#!/bin/bash
# make.sh PROGRAM: keeps files of every format as PROGRAM writes them, in tests/formats/VERSION, for test_formats.c.
# To be run once for each release; what is there already is never made anew, so that it stays what that release wrote.
set -euo pipefail
tally=$(realpath "${1:?the program}")
here=$(dirname "$(realpath "$0")")
version=$("$tally" version | sed -n 's/^tally //p')
kept=$here/$version
test ! -e "$kept" || { echo "$kept is there already" >&2; exit 1; }
work=$(mktemp -d)
"$tally" serve --data "$work/data" --http 127.0.0.1:0 --rpc none --ready-file "$work/ready" --log-segment 1M --log-ring 256K \
	--snapshot-interval 0 --id-memory 4K 2>"$work/log" &
server=$!
trap 'kill $server 2>/dev/null || true; rm -rf "$work"' EXIT
until test -s "$work/ready"; do kill -0 $server; sleep 0.1; done
url=http://$(sed -n 's/^http //p' "$work/ready")
post() { curl -sS --fail-with-body -X POST -H 'Content-Type: application/json' "${@:3}" -d "$2" "$url$1" >"$work/answer" || { cat "$work/answer"; exit 1; }; }

"$tally" sample --to "$url" --count 400 --seed 5 2>/dev/null
# More than fit into that memory: the oldest ids move to disk.
until curl -sSf "$url/metrics" | grep '^tally_id_runs [1-9]' >"$work/answer"; do sleep 0.1; done
post /admin/event-types '{"key":"VISIT","origin":"EXTERNAL","name":"Visit","active":true,"payload_schema":{"type":"object","properties":{"n":{"type":"integer"}}}}' -H 'X-Brand: KEPT'
post /rules '{"event_type":"VISIT","priority":0,"active":true,"conditions":{">":[{"var":"payload.n"},1]},"actions":[{"type":"earn_points","points":7},{"type":"add_customer_tag","tag":"zwölf"}]}' -H 'X-Brand: KEPT'
post /customers/upsert '{"brand":"KEPT","profileId":"p-1","status":"GOLD","tags":["a","b"],"attributes":{"city":"Köln"}}' -H 'X-Brand: KEPT'
for n in 1 2 3; do
	post /transactions "{\"brand\":\"KEPT\",\"profileId\":\"p-$((n % 2))\",\"eventType\":\"VISIT\",\"eventId\":\"v$n\",\"source\":\"TEST\",\"payload\":{\"n\":$n}}"
done
post /v1/accounts '[{"id":"1","tenant":"KEPT","unit":"points","kind":"raw"},{"id":"2","tenant":"KEPT","unit":"points","kind":"raw","floor":0}]'
post /v1/transfers '[{"id":"101","debit":"1","credit":"2","amount":500,"code":1},{"id":"102","debit":"2","credit":"1","amount":40,"code":2,"flags":["pending"]},{"id":"103","debit":"2","credit":"1","amount":60,"code":2,"flags":["pending"]}]'
"$tally" snapshot --to "$url" >/dev/null
post /v1/transfers '[{"id":"104","pending_id":"102","flags":["post"],"amount":30}]'
post /transactions '{"brand":"KEPT","profileId":"p-1","eventType":"VISIT","eventId":"v4","source":"TEST","payload":{"n":9}}'
"$tally" backup "$work/backup" --from "$url" >/dev/null
kill $server
wait $server

mkdir -p "$kept"
cp -r "$work/backup/." "$kept"
rm -f "$kept/lock"
# Without the zeros behind what the manifest covers; the test puts them back.
while read -r word _ bytes _ path; do
	if test "$word" = file; then truncate -s "$bytes" "$kept/$path"; fi
done <"$kept/manifest"
"$tally" dump "$work/backup" | tail -1 >"$kept/expected"
du -sh "$kept"
