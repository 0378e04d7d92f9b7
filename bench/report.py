# Turns the lines WORK ENGINE KEY VALUE of bench/run.sh into one Markdown table of medians and ratios, below the
# machine's facts.
#
# usage: report.py RESULTS RUNS SECONDS COUNT DIR VERSIONS
import os
import platform
import statistics
import subprocess
import sys
import time

WORKS = [
    ("w1", "W1 batches, each at its best"),
    ("w1_one", "W1 batches, one in flight"),
    ("w2a", "W2 one a request, 64 connections x 1"),
    ("w2b", "W2 one a request, 1 connection x 64"),
    ("w3", "W3 events.ingest, arrays of 8,190"),
    ("http_single", "HTTP, one event a request, 64 connections"),
    ("http_array", "HTTP, arrays of 1,000 events, 1 connection"),
    ("w4a", "W4 open loop, half of W1"),
    ("w4b", "W4 open loop, half of W2, 64 connections x 1"),
    ("w7a", "W7 as W1"),
    ("w7b", "W7 as W2, 64 connections x 1"),
]
# What a work is compared with, where that is not itself.
LIKE = {"w7a": "w1", "w7b": "w2a"}
NAMES = {"bare": "bare path", "tally": "**Tally**", "nginx": "nginx, a constant", "tarantool": "Tarantool",
         "postgresql": "PostgreSQL", "redis": "Redis"}


def name_of(engine):
    return NAMES.get(engine) or f"Tally, {engine[7:]} shard{'' if engine == 'shards-1' else 's'}"


def read(path):
    results = {}
    with open(path) as lines:
        for line in lines:
            work, engine, key, value = line.split()
            try:
                results.setdefault((work, engine), {}).setdefault(key, []).append(float(value))
            except ValueError:
                pass
    return results


def command(*words):
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "?"


def first(path, start):
    with open(path) as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(start)), "?")


def facts(runs, seconds, directory, versions):
    memory = int(first("/proc/meminfo", "MemTotal").split()[0]) / 2**20
    with open("/etc/os-release") as lines:
        system = next((line.split("=", 1)[1].strip().strip('"') for line in lines if line.startswith("PRETTY_NAME")), "?")
    yield f"Measured {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC on {os.cpu_count()} cores " \
          f"({first('/proc/cpuinfo', 'model name')}), {memory:.0f} GiB, {system}, Linux {platform.release()}, " \
          f"{command('df', '--output=fstype', directory).split()[-1]}; client and server on the same machine, loopback TCP."
    yield f"Medians of {runs} round{'' if runs == '1' else 's'} of {seconds} s a run, the engines in turn; W4 runs once and twice as long, W5 to W7 run once."
    yield f"{versions}; commit {command('git', 'rev-parse', '--short', 'HEAD')}. Command: `make bench`."
    yield ""


def time_text(us):
    if us is None:
        return "-"
    return f"{us:,.0f} us" if us < 1000 else f"{us / 1000:,.2f} ms" if us < 100000 else f"{us / 1000:,.0f} ms"


def row(results, work, engine, title):
    values = results[(work, engine)]

    def of(key):
        return statistics.median(values[key]) if key in values else None

    key = "requests_per_s" if work.startswith("http") else "transfers_per_s"

    def ratio(engine_above, engine_below):
        above, below = (results.get((LIKE.get(work, work) if e != engine else work, e), {}).get(key)
                        for e in (engine_above, engine_below))
        if not above or not below or engine_above == engine_below:
            return "-"
        return f"{statistics.median(above) / statistics.median(below):.3g}"

    base = "nginx" if work.startswith("http") else "bare"
    if "transfers_per_s" not in values and "requests_per_s" not in values:
        return f"| {title} | {name_of(engine)} | failed |" + " |" * 8
    rate = values.get("transfers_per_s") or values["requests_per_s"]
    spread = f" ({min(rate):,.0f}-{max(rate):,.0f})" if len(rate) > 1 else ""
    disk, memory = of("disk_bytes_per_transfer"), of("memory_bytes_per_transfer")
    mark = " (some runs failed)" if "failed" in values else ""
    return (f"| {title} | {name_of(engine)}{mark} | {statistics.median(rate):,.0f}{spread} | {ratio(engine, base)} | "
            f"{ratio('tally', engine)} | {time_text(of('p50_us'))} | {time_text(of('p99_us'))} | {time_text(of('p999_us'))} | "
            f"{time_text(of('p9999_us'))} | {f'{disk:,.0f}' if disk is not None else '-'} | "
            f"{f'{memory:,.0f}' if memory is not None else '-'} |")


def order(engine):
    places = ["bare", "nginx", "tally", "tarantool", "redis", "postgresql"]
    return (places.index(engine) if engine in places else len(places), len(engine), engine)


def main():
    path, runs, seconds, count, directory, versions = sys.argv[1:7]
    results = read(path)
    out = ["# Benchmark", ""]
    out += facts(runs, seconds, directory, versions)
    out += ["| work | engine | a second (lowest-highest) | of the bare path (HTTP: of nginx) | Tally to this | p50 | p99 | p99.9 | p99.99 | "
            "disk B | memory B |", "|---|---|---|---|---|---|---|---|---|---|---|"]
    for work, title in WORKS:
        for engine in sorted((e for w, e in results if w == work), key=order):
            out.append(row(results, work, engine, title))
    out += ["", "Latency is a request's, so in W1 and W3 a batch's. Disk and memory bytes are per transfer, its id included; "
            "accounts are counted apart.", ""]
    recovery = [(e, v) for (w, e), v in results.items() if w == "w5"]
    for engine, values in sorted(recovery, key=lambda pair: order(pair[0])):
        text = f"{values['recovery_s'][0]:,.2f} s" if "recovery_s" in values else "failed"
        out.append(f"- W5 {name_of(engine)}: {text} from start to the first durable answer after kill -9 at "
                   f"{int(count):,} transfers")
    for (work, engine), values in results.items():
        if work == "w6" and "memory_bytes_per_account" in values:
            out.append(f"- W6 {name_of(engine)}: {values['memory_bytes_per_account'][0]:.0f} bytes of memory an account, "
                       f"{values['memory_bytes_per_id'][0]:.1f} an id; {values['disk_bytes_per_transfer'][0]:.1f} bytes of "
                       f"log a transfer, {values['disk_bytes_per_account'][0]:.0f} an account")
        elif work == "w6":
            out.append(f"- W6 {name_of(engine)}: failed")
    print("\n".join(out))


main()
