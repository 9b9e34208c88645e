"""Prints one table of what the peers and Chancery did, from `name<TAB>events a second` lines and a report of `chancery
bench --json`."""

import json
import sys

peers = dict(line.split("\t") for line in open(sys.argv[1]).read().splitlines())
peers = {name: float(rate) for name, rate in peers.items()}
report = json.load(open(sys.argv[2]))
ours = {(load["name"], load["connections"], load["lines"]): load["per_sec"] for load in report["loads"]}

machine, units = report["machine"], report["units"]
print(f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB, Linux {machine['kernel']}, {machine['file_system']}")
print(f"one flush {units['flush_micros']:.0f} µs, one signature {units['signature_micros']:.0f} µs; load average {machine['load_average']:.2f} before Chancery's part")
print()
print("| What | Events/s | Chancery | Chancery's, times |")
print("|---|---:|---:|---:|")


def row(what: str, load: tuple[str, int, int]) -> None:
    theirs, chancerys = peers.get(what), ours.get(load)
    shown = f"{chancerys:,.0f}" if chancerys else "not measured"
    if theirs is None:
        print(f"| {what} | not measured | {shown} | |")
    else:
        print(f"| {what} | {theirs:,.0f} | {shown} | {chancerys / theirs:.1f} |" if chancerys else f"| {what} | {theirs:,.0f} | {shown} | |")


for clients in (1, 8, 64):
    row(f"PostgreSQL, {clients} clients, rows", ("single", clients, 1))
row("UmaDB, 8 clients, single events", ("single", 8, 1))
row("UmaDB, 8 clients, 100 events at a time", ("batch", 8, 100))
for name, connections, lines in sorted(set(ours) - {("single", 1, 1), ("single", 8, 1), ("single", 64, 1), ("batch", 8, 100)}):
    what = {"single": f"single commands, {connections} connections", "batch": f"batches of {lines:,}, {connections} connections"}.get(name)
    if what:
        print(f"| Chancery alone: {what} | | {ours[name, connections, lines]:,.0f} | |")
