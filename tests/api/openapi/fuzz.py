# SPDX-License-Identifier: Apache-2.0
"""Runs schemathesis, a public fuzzer that reads the OpenAPI document, against a running server.

usage: fuzz.py SCHEMATHESIS PORT PHASES EXAMPLES

Checked of every answer: no 5xx, no status, media type or header that the operation does not declare, a body that fits the
schema of its status.  The seed is fixed.  Ends with the line "ok" or with what was found.

The recursive schemas (conditions, selectors, JSON Schemas within documents) are taken for "anything": making values for them
takes the fuzzer minutes, and tests/fuzz has targets of its own for their parsers.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request

RECURSIVE = re.compile("condition|logic|payload_|selector|action$")


def plainer(schema):
    """Without what costs the fuzzer minutes: several patterns of one text."""
    if isinstance(schema, list):
        return [plainer(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    pattern = schema.get("pattern", "")
    drop = {"pattern"} if isinstance(pattern, str) and (len(pattern) > 40 or pattern.startswith("^[^")) else set()
    drop |= {"allOf"} if schema.get("format") == "date-time" else set()
    return {key: plainer(value) for key, value in schema.items() if key not in drop}


CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,"
          "response_headers_conformance,response_schema_conformance")

program, port, phases, examples = os.path.abspath(sys.argv[1]), *sys.argv[2:5]
folder = os.path.dirname(os.path.abspath(__file__))
with urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json") as answer:
    document = json.load(answer)
schemas = document["components"]["schemas"]
for name in schemas:
    if RECURSIVE.match(name):
        schemas[name] = {}
    elif isinstance(schemas[name], dict):
        schemas[name] = plainer(schemas[name])
# It keeps what it found in the folder that it runs in: nothing of it stays, and every run is like the first.
with tempfile.TemporaryDirectory() as scratch:
    path = os.path.join(scratch, "openapi.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)
    run = subprocess.run(
        [program, "run", path, "--url", f"http://127.0.0.1:{port}", "--seed", "20261121", "-n", examples,
         "--phases", phases, "-c", CHECKS, "--no-color", "--warnings", "off", "--continue-on-failure"],
        cwd=scratch, env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
cases = re.search(r"(\d+) generated", run.stdout)
if run.returncode == 0 and cases and int(cases.group(1)) >= 500:
    print("ok")
else:
    print(run.stdout[-12000:])
    sys.exit(1)
