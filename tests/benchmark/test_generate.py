"""The generated benchmark: the same bytes for a seed, shares as asked, new held-out wording."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ttt_memory import io
from ttt_memory.benchmark import BenchmarkConfig, distractors, generate, read_benchmark
from ttt_memory.benchmark.generator.skeletons import skeletons
from ttt_memory.benchmark.generator.values import load_yaml
from ttt_memory.benchmark.sample import NEW_SKELETONS

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
LANGUAGES = ("zh", "en")


def make(folder: Path, config: str) -> tuple[Path, Path]:
    out, card = folder / "benchmark.parquet", folder / "CARD.md"
    command = [sys.executable, SCRIPTS / "make_benchmark.py", "--config", config]
    subprocess.run([*command, "--out", out, "--card", card], check=True, capture_output=True)
    return out, card


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    config = '{"benchmark": {"seed": 5, "samples_per_level": 16}}'
    return [make(tmp_path_factory.mktemp("made"), config) for _ in range(2)]


def test_same_seed_same_bytes(made):
    (first, card), (second, other_card) = made
    assert first.read_bytes() == second.read_bytes()
    assert card.read_bytes() == other_card.read_bytes()


def test_the_file_is_what_the_library_generates(made):
    samples = generate.benchmark(BenchmarkConfig(seed=5, samples_per_level=16))
    assert read_benchmark(made[0][0]) == samples
    assert io.read_metadata(made[0][0])["config"]["samples_per_level"] == 16


def test_another_seed_gives_other_dialogues():
    one, other = (
        generate.benchmark(BenchmarkConfig(seed=seed, levels=(1,), samples_per_level=20))
        for seed in (0, 1)
    )
    assert not {s.sessions for s in one} & {s.sessions for s in other}


def test_more_samples_do_not_change_the_first_ones():
    few, many = (
        generate.benchmark(BenchmarkConfig(levels=(2,), samples_per_level=count))
        for count in (10, 30)
    )
    assert many[:10] == few


def test_languages_alternate_and_splits_follow_their_shares():
    splits = {"train": 1, "new_values": 3, "all_new": 3, "new_skeletons": 2, "new_wording": 1}
    config = BenchmarkConfig(levels=(1,), samples_per_level=200, splits=splits)
    samples = generate.benchmark(config)
    assert [s.language for s in samples[:4]] == ["zh", "en", "zh", "en"]
    for language in LANGUAGES:
        counts = Counter(s.split for s in samples if s.language == language)
        assert counts == {name: 10 * share for name, share in splits.items()}
    for sample in samples:
        held = sample.skeleton_id in {s.skeleton_id for s in skeletons(sample.language, True)}
        assert held == (sample.split in NEW_SKELETONS)


def test_every_skeleton_is_used_and_there_are_enough():
    config = BenchmarkConfig(levels=(1, 2), samples_per_level=96, splits={"train": 1})
    held = BenchmarkConfig(levels=(1, 2), samples_per_level=48, splits={"all_new": 1})
    for options, held_out, least in ((config, False, 12), (held, True, 4)):
        samples = generate.benchmark(options)
        for language in LANGUAGES:
            known = {skeleton.skeleton_id for skeleton in skeletons(language, held_out)}
            assert len(known) >= least
            for level in (1, 2):
                used = {
                    s.skeleton_id for s in samples if (s.language, s.level) == (language, level)
                }
                assert used == known


def test_distractors_have_the_length_asked_for_and_dialogues_are_short():
    config = BenchmarkConfig(levels=(3,), samples_per_level=40)
    samples = generate.benchmark(config)
    lengths = [distractors.count(sample.distractor) for sample in samples]
    assert min(lengths) >= 2000
    assert max(lengths) < 4060
    assert max(lengths) - min(lengths) > 1000
    for sample in samples:
        (said,) = sample.sessions
        words = len(said) if sample.language == "zh" else len(said.split())
        assert 80 <= words <= 280


def test_new_questions_share_words_or_none():
    config = BenchmarkConfig(levels=(1,), samples_per_level=240, splits={"all_new": 1})
    samples = generate.benchmark(config)
    for language in LANGUAGES:
        groundings = Counter(
            probe.grounding for s in samples if s.language == language for probe in s.probes
        )
        assert set(groundings) == {"shared", "none"}
        assert 0.05 < groundings["none"] / groundings.total() < 0.65


def test_the_card_counts_what_is_there(made):
    samples = read_benchmark(made[0][0])
    card = made[0][1].read_text(encoding="utf-8")
    probes = sum(len(sample.probes) for sample in samples)
    assert f"{len(samples)} dialogues" in card
    assert f"{probes} probes" in card
    rows = re.findall(
        r"^\| \d [a-z][^|]*\|[^|]*\| (?:en|zh) \| \w+ \| (\d+) \| \d+ \| (\d+) \|$", card, re.M
    )
    assert sum(int(dialogues) for dialogues, _ in rows) == len(samples)
    assert sum(int(count) for _, count in rows) == probes
    for sample in (samples[0], samples[1]):
        assert sample.sessions[0] in card
    assert "make_benchmark.py --config" in card


def spoken(entries: list[dict]) -> list[str]:
    """All turns and questions of skeletons or fragments, as written in the file."""
    lines = []
    for entry in entries:
        lines += [words for _, words in entry["turns"]]
        for asked in (*entry["facts"], *entry.get("compose", ()), *entry.get("missing", ())):
            lines += [*asked["ask"], *asked.get("change", ())]
    return lines


def texts(data) -> list[str]:
    """All texts in nested lists and mappings."""
    if isinstance(data, str):
        return [data]
    parts = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return [text for part in parts for text in texts(part)]


def wording(language: str, lines: list[str]) -> dict[tuple, str]:
    """Runs of 4 words, 2 or more of them content words, and the line of each.

    In Chinese, runs of 5 characters, 3 or more of them content. A slot is one word, not content.
    """
    stop = load_yaml("stopwords.yaml")
    words = set(stop["en"].split()) | {"_"} if language == "en" else set(stop["zh"]) | {"_"}
    size, content = (4, 2) if language == "en" else (5, 3)
    runs = {}
    for line in lines:
        flat = re.sub(r"\{[^{}]*\}", "_", re.sub(r"[<>|]", " | ", line))
        for clause in re.split(r"[.?!;:,|。？！；：，…]+", flat):
            found = re.findall(r"[a-z']+|_|[\u3400-\u9fff]", clause.lower())
            for i in range(len(found) - size + 1):
                run = tuple(found[i : i + size])
                if sum(word not in words for word in run) >= content:
                    runs[run] = line
    return runs


@pytest.mark.parametrize("language", LANGUAGES)
def test_held_out_skeletons_share_no_wording_with_training(language):
    held = wording(language, spoken(load_yaml(f"heldout_skeletons_{language}.yaml")))
    written = [
        *spoken(load_yaml(f"training_skeletons_{language}.yaml")),
        *spoken(load_yaml(f"fragments_{language}.yaml")),
        *texts(load_yaml(f"families_{language}.yaml")),
    ]
    training = wording(language, written)
    assert len(held) > 200
    assert len(training) > 800
    assert {run: (held[run], training[run]) for run in held if run in training} == {}
