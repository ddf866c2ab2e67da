"""A cluster run, simulated: the study's real graph of jobs, measured job times, N nodes.

    python benchmarks/cluster.py --times results/benchmarks [--configfile config/full.yaml] \
        [--nodes 1 8 100] [--slots 1] [--wait 60] [--failures 0.02] [--retries 2] [--jobs 100] \
        [--per-second 5] [--poll 10] [--seeds 20]

The graph is what Snakemake would run (`--d3dag`). A job takes one of its rule's measured times,
drawn anew for each attempt; a rule without any takes one of all. A submission waits in the queue
(exponential, mean --wait seconds), runs in a free slot, fails with --failures at a uniform moment
of its time and is tried again; its end is noticed at the next poll. Prints the sum of all jobs and
their longest chain; then, for each number of nodes, hours from first submission to last end (mean
over seeds), what that gains, the share of slot time used, and the jobs that failed for good.
"""

import argparse
import heapq
import itertools
import json
import math
import random
import statistics
import subprocess
import sys
from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Cluster:
    """A cluster and the profile's settings on it; all times in seconds."""

    nodes: int
    slots: int = 1
    wait: float = 60.0
    failures: float = 0.02
    retries: int = 2
    jobs: int = 100
    per_second: float = 5.0
    poll: float = 10.0


@dataclass
class Graph:
    """Jobs by number: their rule, how many they wait for, who waits for them."""

    rules: dict[int, str]
    needs: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    next: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))


def graph(configfile: str | None) -> Graph:
    """What Snakemake would run from nothing, by its own account."""
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/local", "--d3dag"]
    command += ["--configfile", configfile] if configfile else []
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    data = json.loads(done[done.index("{") :])
    found = Graph({node["value"]["jobid"]: node["value"]["label"] for node in data["nodes"]})
    for edge in data["edges"]:  # from a job to one that waits for it
        found.needs[edge["v"]] += 1
        found.next[edge["u"]].append(edge["v"])
    return found


def times(folder: Path) -> dict[str, list[float]]:
    """Seconds of each measured job, by rule."""
    found = {}
    for entry in sorted(folder.iterdir()):
        files = [entry] if entry.suffix == ".tsv" else sorted(entry.rglob("*.tsv"))
        found[entry.stem] = [s for file in files for s in pd.read_csv(file, sep="\t")["s"]]
    return {rule: seconds for rule, seconds in found.items() if seconds}


def seconds_of(rule: str, measured: dict[str, list[float]]) -> list[float]:
    """Measured times of jobs like one of `rule`; 0 for the rule that only collects."""
    if rule == "all":
        return [0.0]
    return measured.get(rule) or [s for other in measured.values() for s in other]


def simulate(
    jobs: Graph, measured: dict[str, list[float]], cluster: Cluster, seed: int
) -> tuple[float, float, int]:
    """Makespan in seconds, busy slot seconds, jobs that failed for good."""
    rng, tick = random.Random(seed), itertools.count()
    needs = {job: jobs.needs[job] for job in jobs.rules}
    ready = deque(job for job, count in needs.items() if not count)
    attempts: dict[int, int] = defaultdict(int)
    free = [0.0] * (cluster.nodes * cluster.slots)
    events: list[tuple[float, int, int, bool]] = []
    now = end = busy = next_submission = 0.0
    lost = 0
    while ready or events:
        while ready and len(events) < cluster.jobs:
            job = ready.popleft()
            submitted = max(now, next_submission)
            next_submission = submitted + 1 / cluster.per_second
            seconds = rng.choice(seconds_of(jobs.rules[job], measured))
            fails = rng.random() < cluster.failures
            seconds *= rng.random() if fails else 1
            start = max(submitted + rng.expovariate(1 / cluster.wait), heapq.heappop(free))
            heapq.heappush(free, start + seconds)
            busy += seconds
            noticed = math.ceil((start + seconds) / cluster.poll) * cluster.poll
            heapq.heappush(events, (noticed, next(tick), job, fails))
        now, _, job, failed = heapq.heappop(events)
        end = max(end, now)
        if failed and attempts[job] < cluster.retries:
            attempts[job] += 1
            ready.append(job)
        elif failed:
            lost += 1
        else:
            for later in jobs.next[job]:
                needs[later] -= 1
                if not needs[later]:
                    ready.append(later)
    return end, busy, lost


def bound(jobs: Graph, measured: dict[str, list[float]]) -> tuple[float, float]:
    """Sum of all jobs' mean times, and of the longest chain: no cluster is faster than that."""
    mean = {job: statistics.fmean(seconds_of(rule, measured)) for job, rule in jobs.rules.items()}
    needs = {job: jobs.needs[job] for job in jobs.rules}
    finish = dict.fromkeys(jobs.rules, 0.0)
    ready = [job for job, count in needs.items() if not count]
    while ready:
        job = ready.pop()
        finish[job] += mean[job]
        for later in jobs.next[job]:
            finish[later] = max(finish[later], finish[job])
            needs[later] -= 1
            if not needs[later]:
                ready.append(later)
    return sum(mean.values()), max(finish.values())


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=Path, required=True, help="results/benchmarks of a run")
    parser.add_argument("--configfile", help="preset whose jobs are simulated")
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 8, 100])
    parser.add_argument("--seeds", type=int, default=20, help="simulated runs")
    usual = Cluster(nodes=1)
    for name, meaning in {
        "slots": "jobs that a node runs at once",
        "wait": "mean queue wait, s",
        "failures": "share of attempts that fail",
        "retries": "as in the profile",
        "jobs": "submitted at once, as in the profile",
        "per-second": "submissions a second",
        "poll": "s between looks at the queue",
    }.items():
        default = getattr(usual, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=type(default), default=default, help=meaning)
    return parser.parse_args()


def main() -> None:
    """Simulate each number of nodes and print the table."""
    args = parse()
    given = {key: value for key, value in vars(args).items() if hasattr(Cluster(1), key)}
    jobs, measured = graph(args.configfile), times(args.times)
    total, chain = bound(jobs, measured)
    unknown = sorted({*jobs.rules.values()} - {*measured, "all"})
    print(
        f"{len(jobs.rules)} jobs, {total / 3600:.2f} h one after the other, longest chain"
        f" {chain / 3600:.2f} h; rules without measured times: {', '.join(unknown) or 'none'}"
    )
    print(f"{'nodes':>6}{'hours':>9}{'speed-up':>10}{'slots busy':>12}{'lost jobs':>11}")
    for nodes in args.nodes:
        cluster = Cluster(**{**given, "nodes": nodes})
        runs = [simulate(jobs, measured, cluster, seed) for seed in range(args.seeds)]
        hours = statistics.fmean(end for end, _, _ in runs) / 3600
        used = statistics.fmean(b / (e * nodes * cluster.slots) for e, b, _ in runs)
        lost = statistics.fmean(lost for _, _, lost in runs)
        print(f"{nodes:>6}{hours:>9.2f}{total / 3600 / hours:>10.1f}{used:>12.0%}{lost:>11.2f}")


if __name__ == "__main__":
    main()
