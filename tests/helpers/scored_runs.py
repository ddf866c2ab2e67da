"""A small benchmark and predictions of known accuracy, for the tests of scoring and report."""

import random
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd

from ttt_memory import io
from ttt_memory.benchmark.sample import (
    CATEGORIES,
    LANGUAGES,
    REFUSALS,
    SPLITS,
    UNANSWERABLE,
    Fact,
    Probe,
    Sample,
)
from ttt_memory.scoring import schemas
from ttt_memory.scoring.predictions import COSTS
from ttt_memory.vocabulary import CONDITIONS, LEVELS, WHOLE

VARIANTS = {4: ("same dialogue", "next session"), 5: ("two speakers", "same skeleton")}

# Of alternatives: bytes kept by setting, of a KV cache of 1,000 bytes.
KEPT = {
    "B_bytes": {0.25: 250.0, WHOLE: 600.0},
    "K": {0.25: 250.0, WHOLE: 1000.0},
    "R": {2.0: 50.0},
}
DISTANCES = (0, 4000)
SETTINGS = {"scale": (0.1, 0.5, 1.0), "retention": (0, 400, 4000), "capacity": (1, 2, 4)}


def sample(number: int, level: int, rng: random.Random) -> Sample:
    """A sample of six facts, one of each category.

    Level 2 asks bridges and a pair. At levels 4 and 5 half of the probes have a rival. Level 6 has
    no answer.
    """
    values = [f"v{rng.randrange(10**6):06d}" for _ in CATEGORIES]
    dialogue, facts = "", []
    for place, (category, value) in enumerate(zip(CATEGORIES, values, strict=True)):
        dialogue += f"Ann: the {category} is "
        span = (len(dialogue), len(dialogue) + len(value))
        dialogue += f"{value}\n"
        facts.append(Fact(f"F{place}", f"{category} {value}", category, category, value, *span))
    language, variants = LANGUAGES[number % 2], VARIANTS.get(level, ("",))
    return Sample(
        sample_id=f"L{level}-{number:04d}",
        level=level,
        language=language,
        split=SPLITS[number % len(SPLITS)],
        skeleton_id=f"s{number // 2}",
        sessions=(dialogue,),
        distractor="Weather. " * 20 if level == 3 else None,
        facts=tuple(facts),
        probes=tuple(_probes(level, facts, language)),
        variant=variants[number % len(variants)],
    )


def _probes(level: int, facts: list[Fact], language: str) -> list[Probe]:
    if level == 2:
        return _composed(facts)
    if level == 6:
        refusal = REFUSALS[language]
        return [
            Probe(f"U{n}", f"{f.category} of Bob?", refusal, UNANSWERABLE, (), "shared")
            for n, f in enumerate(facts[:2])
        ]
    probes = _direct(facts)
    if level in VARIANTS:
        for n in (0, 1, 2):
            probes[n] = replace(probes[n], rival=f"not {probes[n].gold}")
    return probes


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
    """`per_level` samples of each level, all languages among them; ten have all splits, too."""
    rng = random.Random(seed)
    return [sample(number, int(level), rng) for level in LEVELS for number in range(per_level)]


def predictions(
    asked: list[Sample],
    run: str,
    seed: int,
    condition: str,
    accuracy: float,
    setting: float | None = None,
    order: int | None = None,
    distance: int = 0,
    **costs: float,
) -> list[dict]:
    """Rows of `schemas.PREDICTIONS` that are right with chance `accuracy`.

    A third of the wrong answers are refusals, and a third the rival of the probe if it has one.
    """
    rng = random.Random(f"{run} {seed} {condition} {setting} {order}")
    return [
        {
            "run": run,
            "seed": seed,
            "condition": condition,
            "setting": setting,
            "distance": distance,
            "order": order,
            "sample_id": one.sample_id,
            "probe_id": probe.probe_id,
            "prediction": probe.gold if rng.random() < accuracy else _wrong(probe, one, rng),
            "too_long": 0,
            "ended": True,
            "prompt": "",
            "prompt_hash": "",
            "prompt_tokens": 9,
            "written": "",
            "written_tokens": 100,
            "new_tokens": 3,
            **dict.fromkeys(COSTS, 1.0),
            **costs,
        }
        for one in asked
        for probe in one.probes
    ]


def _wrong(probe: Probe, one: Sample, rng: random.Random) -> str:
    refusal = REFUSALS[one.language] if probe.answerable else "no idea"
    return rng.choice(["no idea", refusal, probe.rival or "no idea"])


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
        rows += alternatives(level_1, run, seed, memory)
    return rows


def alternatives(asked: list[Sample], run: str, seed: int, memory: float) -> list[dict]:
    """Right after the dialogue all are as good; after a distractor a cut KV cache is worth little.

    The text takes 50 bytes, and an answer that reads it again five times the FLOPs.
    """
    rows = []
    for method, distance in product(KEPT, DISTANCES):
        for setting, size in KEPT[method].items():
            far = method == "K" and distance and setting != WHOLE
            costs = {"state_bytes": size, "text_bytes": 50.0, "kv_bytes": 1000.0}
            costs |= {"write_flops": 4.0, "answer_flops": 1.0, "kv_bytes_of_layers": 250.0}
            chance = 0.05 if far else memory
            rows += predictions(
                asked, run, seed, method, chance, setting, distance=distance, **costs
            )
    return rows


def write(path: Path, rows: list[dict]) -> Path:
    """The rows as a prediction file."""
    io.write_table(path, pd.DataFrame(rows), schemas.PREDICTIONS, {"config": {}})
    return path
