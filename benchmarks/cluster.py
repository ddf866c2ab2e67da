"""A simulated run on a cluster of N nodes, from the study's graph of jobs and measured job times.

    python benchmarks/cluster.py --times results/benchmarks [--configfile config/full.yaml] \
        [--nodes 1 8 100] [--slots 1] [--wait 60] [--failures 0.02] [--retries 2] [--jobs 100] \
        [--per-second 5] [--poll 10] [--seeds 20]

The graph is what Snakemake would run (`--d3dag`). Each attempt of a job takes one of the measured
times of its rule, drawn at random; a rule without measured times uses those of all rules. A job
waits in the queue (exponentially distributed, mean --wait seconds) and then runs in a free slot.
With probability --failures it fails, at a uniformly drawn moment, and is tried again. Its end is
noticed at the next poll.

The output begins with the sum of all job times and the longest chain of jobs. Then, for each number
of nodes: the hours from the first submission to the last end (mean over seeds), the speed-up over
one job at a time, the share of slot time in use, and the number of jobs whose every attempt failed.
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
    """A cluster, and the settings of the profile that uses it. All times are in seconds."""

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
    """The graph of jobs, which are numbered.

    Attributes:
        rules: the rule of each job.
        needs: for each job, the number of jobs that it waits for.
        next: for each job, the jobs that wait for it.
    """

    rules: dict[int, str]
    needs: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    next: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))


def graph(configfile: str | None) -> Graph:
    """The graph of a run without any results, as Snakemake plans it."""
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
    """Measured seconds of the jobs of each rule."""
    found = {}
    for entry in sorted(folder.iterdir()):
        files = [entry] if entry.suffix == ".tsv" else sorted(entry.rglob("*.tsv"))
        found[entry.stem] = [s for file in files for s in pd.read_csv(file, sep="\t")["s"]]
    return {rule: seconds for rule, seconds in found.items() if seconds}


def seconds_of(rule: str, measured: dict[str, list[float]]) -> list[float]:
    """Measured seconds to draw from for a job of `rule`; 0 for `all`, which only collects."""
    if rule == "all":
        return [0.0]
    return measured.get(rule) or [s for other in measured.values() for s in other]


def simulate(
    jobs: Graph, measured: dict[str, list[float]], cluster: Cluster, seed: int
) -> tuple[float, float, int]:
    """Simulate one run.

    Returns:
        Seconds from start to end, seconds in which slots were busy, number of jobs lost.
    """
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
    """Seconds of all jobs one after the other, and of the longest chain, a lower bound for any run.

    Each job takes the mean time of its rule.
    """
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
    parser.add_argument("--seeds", type=int, default=20, help="number of simulated runs")
    usual = Cluster(nodes=1)
    for name, meaning in {
        "slots": "number of jobs that a node runs at once",
        "wait": "mean time in the queue, s",
        "failures": "share of attempts that fail",
        "retries": "retries of a failed job, as in the profile",
        "jobs": "largest number of submitted jobs, as in the profile",
        "per-second": "submissions per second",
        "poll": "time between two polls, s",
    }.items():
        default = getattr(usual, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=type(default), default=default, help=meaning)
    return parser.parse_args()


def main() -> None:
    """Simulate a run for each number of nodes and print the table."""
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
