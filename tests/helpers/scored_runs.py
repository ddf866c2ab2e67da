"""A small benchmark and predictions of known accuracy, for the tests of scoring and report."""

import random
from itertools import product
from pathlib import Path

import pandas as pd

from ttt_memory import io
from ttt_memory.benchmark.sample import CATEGORIES, LANGUAGES, SPLITS, Fact, Probe, Sample
from ttt_memory.scoring import schemas
from ttt_memory.vocabulary import CONDITIONS

SETTINGS = {"scale": (0.1, 0.5, 1.0), "retention": (0, 400, 4000), "capacity": (1, 2, 4)}


def sample(number: int, level: int, rng: random.Random) -> Sample:
    """A sample of six facts, one of each category; level 2 asks bridges and a pair."""
    values = [f"v{rng.randrange(10**6):06d}" for _ in CATEGORIES]
    dialogue, facts = "", []
    for place, (category, value) in enumerate(zip(CATEGORIES, values, strict=True)):
        dialogue += f"Ann: the {category} is "
        span = (len(dialogue), len(dialogue) + len(value))
        dialogue += f"{value}\n"
        facts.append(Fact(f"F{place}", f"{category} {value}", category, category, value, *span))
    return Sample(
        sample_id=f"L{level}-{number:04d}",
        level=level,
        language=LANGUAGES[number % 2],
        split=SPLITS[number // 2 % 4],
        skeleton_id=f"s{number % 3}",
        dialogue=dialogue,
        distractor="Weather. " * 20 if level == 3 else None,
        facts=tuple(facts),
        probes=tuple(_composed(facts) if level == 2 else _direct(facts)),
    )


def _direct(facts: list[Fact]) -> list[Probe]:
    return [
        Probe(f"P{n}", f"{f.category}?", f.value, f.slot, (f.fact_id,), ("shared", "none")[n % 2])
        for n, f in enumerate(facts)
    ]


def _composed(facts: list[Fact]) -> list[Probe]:
    first, second, third, *_ = facts
    both = f"{first.value}; {third.value}"
    return [
        Probe("C0", "of it?", second.value, "bridge:slot", ("F0", "F1"), "shared"),
        Probe("C1", "and of that?", third.value, "bridge:slot", ("F1", "F2"), "shared"),
        Probe("C2", "both?", both, "pair:slot", ("F0", "F2"), "shared"),
    ]


def samples(per_level: int = 16, seed: int = 0) -> list[Sample]:
    """`per_level` samples of each level, all languages and splits among them."""
    rng = random.Random(seed)
    return [sample(number, level, rng) for level in (1, 2, 3) for number in range(per_level)]


def predictions(
    asked: list[Sample],
    run: str,
    seed: int,
    condition: str,
    accuracy: float,
    setting: float | None = None,
    order: int | None = None,
) -> list[dict]:
    """Rows of `schemas.PREDICTIONS` that are right with chance `accuracy`."""
    rng = random.Random(f"{run} {seed} {condition} {setting} {order}")
    return [
        {
            "run": run,
            "seed": seed,
            "condition": condition,
            "setting": setting,
            "order": order,
            "sample_id": one.sample_id,
            "probe_id": probe.probe_id,
            "prediction": probe.gold if rng.random() < accuracy else "no idea",
            "ended": True,
            "prompt": "",
            "prompt_hash": "",
            "prompt_tokens": 9,
            "written": "",
            "written_tokens": 100,
            "new_tokens": 3,
            "seconds": 0.01,
        }
        for one in asked
        for probe in one.probes
    ]


def run_rows(
    asked: list[Sample], run: str, seeds: tuple[int, ...], memory: float, sweeps: bool = True
) -> list[dict]:
    """Predictions of every condition, and of the sweeps on level 1.

    Each probe is answered right from the fast weights with chance `memory`.
    """
    chances = dict.fromkeys(CONDITIONS, 0.01)
    chances |= {"A": 0.95, "B": memory, "C": 0.02, "D": memory * 0.8, "W": 0.03}
    level_1 = [one for one in asked if one.level == 1]
    rows = []
    for seed in seeds:
        for condition, chance in chances.items():
            every = CONDITIONS[condition].every_probe
            chosen = [one for one in asked if every or one.level == 3]
            rows += predictions(chosen, run, seed, condition, chance)
        if not sweeps:
            continue
        for scale in SETTINGS["scale"]:
            rows += predictions(level_1, run, seed, "scale", memory * scale, scale)
        for distance in SETTINGS["retention"]:
            chance = memory * (1 - distance / 8000)
            rows += predictions(level_1, run, seed, "retention", chance, distance)
        for dialogues in SETTINGS["capacity"]:
            kept = {"capacity": memory / dialogues, "capacity_context": 0.95}
            for sweep, order in product(kept, range(dialogues)):
                chosen = level_1[order::dialogues]
                rows += predictions(chosen, run, seed, sweep, kept[sweep], dialogues, order)
    return rows


def write(path: Path, rows: list[dict]) -> Path:
    """The rows as a prediction file."""
    io.write_table(path, pd.DataFrame(rows), schemas.PREDICTIONS, {"config": {}})
    return path
