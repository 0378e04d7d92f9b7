#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The documented walk-through of the multi-brand surface, call by call, with the bodies and headers as they are documented:
#   0) event type, rule, transaction, wallet   1) an INTERNAL event type   2) a job   3) its preview   4) run twice   5) bundles
#
# usage: walkthrough.sh PORT      Against a fresh server.  Says what differs and exits with 1, or "ok" and exits with 0.
set -eu
base=http://127.0.0.1:${1:?usage: walkthrough.sh PORT}
brand="X-Brand: BRAND_A"
json="Content-Type: application/json"

# call METHOD PATH [curl's options] -> the body in $body; ends unless the status is 2xx
call() {
	local method=$1 path=$2 status
	shift 2
	body=$(curl -s -w '\n%{http_code}' -X "$method" "$base$path" "$@")
	status=${body##*$'\n'}
	body=${body%$'\n'*}
	[[ $status == 2* ]] || { echo "$method $path: $status $body"; exit 1; }
}

# expect WHAT JSON-PATH WANTED: compares one member of the body ("points", "ui.x", "0.id")
get() {
	BODY=$body python3 -c '
import json, os, sys
value = json.loads(os.environ["BODY"])
for part in sys.argv[1].split("."):
    value = value[int(part)] if isinstance(value, list) else value[part]
print(json.dumps(value) if isinstance(value, (dict, list)) else value)' "$1"
}
expect() {
	local got
	got=$(get "$2") || { echo "$1: no $2 in $body"; exit 1; }
	[[ $got == "$3" ]] || { echo "$1: $2 is $got, expected $3, in $body"; exit 1; }
}

# 0) Create an EXTERNAL event type and a rule, ingest a transaction, read the wallet
call POST /admin/event-types -H "$json" -H "$brand" -d '{
     "key": "PURCHASE",
     "origin": "EXTERNAL",
     "name": "Purchase",
     "description": "Customer purchase",
     "active": true,
     "payload_schema": null
   }'
call POST /rules -H "$json" -H "$brand" -d '{
     "event_type": "PURCHASE",
     "priority": 0,
     "active": true,
     "conditions": null,
     "actions": [
       { "type": "earn_points_from_amount", "rate": 1.0, "amount_path": "amount" }
     ]
   }'
call POST /transactions -H "$json" -d '{
     "brand": "BRAND_A",
     "profileId": "p-1",
     "eventType": "PURCHASE",
     "eventId": "purchase_001",
     "source": "WEB",
     "payload": { "amount": 120 }
   }'
call GET /wallet/BRAND_A/p-1 -H "$brand"
expect "wallet" points 120

# 1) Create an INTERNAL event type
call POST /admin/event-types -H "$json" -H "$brand" -d '{
     "key": "JOB_PING",
     "origin": "INTERNAL",
     "name": "Job ping",
     "description": "Internal event emitted by Internal Jobs",
     "active": true,
     "payload_schema": null
   }'

# 2) Create an internal job
call POST /admin/internal-jobs -H "$json" -H "$brand" -d '{
     "job_key": "PING_ACTIVE",
     "event_type": "JOB_PING",
     "selector": { "status_in": ["ACTIVE"] },
     "payload_template": { "hello": "world" },
     "active": true,
     "schedule": { "type": "cron", "cron": "*/2 * * * *" }
   }'
job=$(get id)

# 3) Preview it
call POST "/admin/internal-jobs/$job/preview?limit=10" -H "$brand"
[[ $body == *p-1* ]] || { echo "preview: no p-1 in $body"; exit 1; }

# 4) Run it twice (idempotence).  The scheduler may have been there first, and a new two minutes may begin between the two runs:
# then it is run once more.
for try in 1 2; do
	call POST "/admin/internal-jobs/$job/run" -H "$brand"
	call POST "/admin/internal-jobs/$job/run" -H "$brand"
	[[ $(get created) != 0 ]] || break
done
expect "second run" created 0
expect "second run" idempotentExisting 1
call GET "/transactions?eventType=JOB_PING" -H "$brand"
expect "emitted event" 0.payload.hello world

# 5) Fetch the bundles of the two builders
call GET /admin/rules/ui-bundle -H "$brand"
expect "rules bundle" brand BRAND_A
call GET /admin/internal-jobs/ui-bundle -H "$brand"
expect "jobs bundle" brand BRAND_A
echo ok
