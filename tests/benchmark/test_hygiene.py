"""What the benchmark holds out is in no text for training: values, wordings and frames."""

import re

import pytest

from ttt_memory.benchmark import BenchmarkConfig, CorpusConfig, corpus, generate
from ttt_memory.benchmark.generator.values import load_yaml, pools

LANGUAGES = ("zh", "en")
DIALOGUES = 2000


@pytest.fixture(scope="module", params=LANGUAGES)
def training(request):
    """The language, and all that training shows in it: sessions, questions and passages."""
    language = request.param
    lines = []
    for sample in corpus.dialogues(language, seed=21, count=DIALOGUES):
        lines += [*sample.sessions, *(probe.question for probe in sample.probes)]
    config = CorpusConfig(languages=(language,), passages=200)
    lines += [row["text"] for row in corpus.passages(config)]
    return language, "\n".join(lines)


def test_no_held_out_value_is_in_a_text_for_training(training):
    language, text = training
    splits = {"new_values": 1, "all_new": 1}
    config = BenchmarkConfig(
        languages=(language,), levels=(1,), samples_per_level=150, splits=splits
    )
    values = {fact.value for sample in generate.benchmark(config) for fact in sample.facts}
    assert len(values) > 1000
    # A number and the word behind it may be a value by chance: 九百五十六 in "九百五十六块".
    assert len([value for value in values if value in text]) <= len(values) / 1000


def held_out_wordings(language: str) -> list[tuple[str, dict[str, str]]]:
    """New wordings, all that held-out skeletons ask, and new frames, each with its slots' types."""
    made = []
    for part in ("training", "heldout"):
        for entry in load_yaml(f"{part}_skeletons_{language}.yaml"):
            for item in (*entry["facts"], *entry["compose"], *entry["missing"]):
                lines = list(item["ask_new"])
                if part == "heldout":
                    lines += [*item["ask"], *item.get("change", ())]
                made += [(line, entry["slots"]) for line in lines]
    frames = load_yaml(f"frames_{language}.yaml")
    lines = frames["change"]["new"] + frames["whose"]["new"]
    lines += [words for turns in frames["session"]["new"] for _, words in turns]
    return made + [(line, {"a": "given", "b": "given"}) for line in lines]


def found(wording: str, types: dict[str, str], language: str, lines: list[str]) -> str | None:
    """The line that says what a wording says, regardless of case and of its last mark.

    A slot stands for a value of its type. None, too, if slots say most of the wording.
    """
    grammar = pools(language).grammar
    pieces = re.split(r"(\{[^{}]*\}|<[^<>]*>)", wording.rstrip("?？.。"))
    if sum(map(len, pieces[::2])) < (10 if language == "en" else 5):
        return None
    parts = []
    for i, piece in enumerate(pieces):
        if not i % 2:
            parts.append(re.escape(piece))
        elif piece.startswith("{"):
            kind = types.get(piece[1:-1])
            parts.append(f"(?:{grammar.pattern(kind)})" if kind else ".{1,60}")
        else:
            parts.append(f"(?:{'|'.join(map(re.escape, piece[1:-1].split('|')))})")
    longest = max(pieces[::2], key=len).casefold()
    near = [line for line in lines if longest in line.casefold()]  # the search is slow
    whole = re.compile("".join(parts), re.IGNORECASE)
    return next((line for line in near if whole.search(line)), None)


def test_no_held_out_wording_is_in_a_text_for_training(training):
    language, text = training
    lower = text.casefold()
    lines = text.split("\n")
    wordings = held_out_wordings(language)
    assert len(wordings) > 300
    shown = {}
    for wording, types in wordings:
        longest = max(re.split(r"\{[^{}]*\}|<[^<>]*>", wording.rstrip("?？.。")), key=len)
        line = longest.casefold() in lower and found(wording, types, language, lines)
        if line:
            shown[wording] = line
    assert shown == {}


def test_the_search_finds_what_is_there():
    lines = ["Any idea where", "any idea where Nora must go", "Any idea where the cat must go"]
    wording, types = "Any idea where {a} <must|has to> go?", {"a": "given"}
    assert found(wording, types, "en", lines[::2]) is None
    assert found("{a}, {S}", types, "en", lines) is None
    names = [*lines, "any idea where Adele has to go"]
    assert found(wording, types, "en", names) == names[-1]
