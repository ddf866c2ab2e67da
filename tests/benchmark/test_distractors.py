"""Distractor text: its length; it is reproducible and varied; splits share nothing."""

import math
import random
import re
from pathlib import Path

import pytest

from ttt_memory.benchmark import distractors
from ttt_memory.benchmark.distractors import content, patterns
from ttt_memory.benchmark.sample import TURN_SEPARATOR
from ttt_memory.errors import UserError

LANGUAGES = ("zh", "en")
SPLITS = ("train", "heldout")
BOTH = [(language, split) for language in LANGUAGES for split in SPLITS]
# Largest share of a held-out text's 6-grams that may occur in 240,000 tokens of training text.
LARGEST_OVERLAP = 0.002
# Words of the benchmark's facts about people. A distractor must not contain them.
FACT_LIKE = re.compile(
    r"工号|截止|预算|汇报|上级|下属|经理|办公室|密码|最喜欢|最爱|生日|入职"
    r"|employee|deadline|budget|reports to|manager|office|password|favou?rite|birthday|colleague",
    re.IGNORECASE,
)


def sentences(text: str) -> list[str]:
    """The sentences of a text. A turn of a chat is a sentence, without the speaker."""
    turns = re.sub(r"^[^\n:：.。]{1,12}[:：]\s*", "", text, flags=re.MULTILINE)
    return [s.strip() for s in re.split(r"(?<=[.!?。！？])\s*", turns) if s.strip()]


def grams(text: str, length: int = 6) -> list[tuple[str, ...]]:
    tokens = patterns.tokens(text.lower())
    return list(zip(*(tokens[start:] for start in range(length)), strict=False))


def skeleton(source: str) -> str:
    """A pattern without the names in its slots, in lower case."""
    return re.sub(r"\s+", " ", re.sub(r"\{[^{}]*\}", "{}", source)).strip().lower()


def turns(topic: content.Topic) -> list[patterns.Pattern]:
    return [turn for unit in topic.units for turn in unit.turns]


def variety(pattern: patterns.Pattern) -> int:
    """The number of ways to fill the slots, those with a repeated entry included."""
    return math.prod(
        len(slot.source.values)
        if isinstance(slot.source, patterns.Number)
        else sum(map(variety, slot.source.entries))
        for slot in pattern.slots
    )


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        (" \n\n", 0),
        ("The tide, 3.5 m high.", 7),
        ("don't pay 1,200 for it", 5),
        ("well-known", 3),
        ("今天，气温是12度。", 9),
        ("他说“OK”……", 7),
        ("snake_case naïve", 4),
        ("小王：你好", 5),
    ],
)
def test_count(text, tokens):
    assert distractors.count(text) == tokens


@pytest.mark.parametrize(("language", "split"), BOTH)
def test_same_state_same_text_and_passage(language, split):
    first, second = random.Random(7), random.Random(7)
    for tokens in (300, 1000):
        assert distractors.text(first, language, tokens, split) == distractors.text(
            second, language, tokens, split
        )
        assert distractors.passage(first, language, split) == distractors.passage(
            second, language, split
        )
    assert first.getstate() == second.getstate()
    other = distractors.text(random.Random(8), language, 300, split)
    assert other != distractors.text(random.Random(7), language, 300, split)


@pytest.mark.parametrize(("language", "split"), BOTH)
def test_text_has_the_length_asked_for_and_ends_with_a_sentence(language, split):
    rng = random.Random(3)
    assert distractors.text(rng, language, 0, split) == ""
    for tokens in [1, 2, 30, 59, 60, 61, 250, 2000, 4000, *rng.sample(range(1, 900), 60)]:
        text = distractors.text(rng, language, tokens, split)
        assert tokens <= distractors.count(text) < tokens + 60
        assert content.SENTENCE_END.search(text)
        assert text == text.strip()
        assert "{" not in text
        assert "}" not in text
        assert "//" not in text


@pytest.mark.parametrize(("language", "split"), BOTH)
def test_passage_is_one_paragraph_of_30_to_250_tokens(language, split):
    rng = random.Random(4)
    for name in content.load(language, split).topics:
        for _ in range(12):
            topic, text = distractors.passage(rng, language, split, topic=name)
            assert topic == name
            assert 30 <= distractors.count(text) <= 250
            assert "\n\n" not in text
            assert content.SENTENCE_END.search(text)


@pytest.mark.parametrize(("language", "split"), BOTH)
def test_passages_reach_all_topics_and_never_repeat(language, split):
    rng = random.Random(5)
    drawn = [distractors.passage(rng, language, split) for _ in range(200)]
    assert {topic for topic, _ in drawn} == set(content.load(language, split).topics)
    assert len({text for _, text in drawn}) == 200


@pytest.mark.parametrize(("language", "split"), BOTH)
def test_a_long_text_repeats_almost_nothing(language, split):
    for seed in range(3):
        text = distractors.text(random.Random(seed), language, 4000, split)
        paragraphs = text.split("\n\n")
        assert len(set(paragraphs)) == len(paragraphs) >= 20
        found = [s for s in sentences(text) if distractors.count(s) >= 12]
        assert len(set(found)) >= 0.99 * len(found)
        long = grams(text, 12)
        assert len(set(long)) >= 0.9 * len(long)


@pytest.mark.parametrize(("language", "split"), BOTH)
def test_content_is_rich(language, split):
    loaded = content.load(language, split)
    assert len(loaded.topics) >= {"train": 24, "heldout": 10}[split]
    assert len({topic.style for topic in loaded.topics.values()}) >= 7
    assert sum(topic.is_chat for topic in loaded.topics.values()) >= 3
    for topic in loaded.topics.values():
        assert len(topic.units) >= 10
        assert all(len(lexicon.entries) >= 6 for lexicon in topic.lexicons.values())
    # The turns of a chat multiply, so only prose is counted: it must give millions of sentences.
    prose = [topic for topic in loaded.topics.values() if not topic.is_chat]
    assert sum(variety(turn) for topic in prose for turn in turns(topic)) >= 1_000_000


@pytest.mark.parametrize(("language", "split"), BOTH)
def test_both_splits_contain_chats_in_the_layout_of_dialogues(language, split):
    loaded = content.load(language, split)
    chats = [name for name, topic in loaded.topics.items() if topic.is_chat]
    colon = TURN_SEPARATOR[language]
    for name in chats:
        _, text = distractors.passage(random.Random(6), language, split, topic=name)
        speakers = {line.split(colon, 1)[0] for line in text.split("\n")}
        assert all(colon in line for line in text.split("\n"))
        assert 2 <= len(speakers) <= 3
    speakers = {loaded.speakers(random.Random(seed))[0] for seed in range(300)}
    assert len(speakers) >= 30


@pytest.mark.parametrize("language", LANGUAGES)
def test_splits_share_no_topic_pattern_or_lexicon_entry(language):
    train, heldout = (content.load(language, split) for split in SPLITS)
    assert not set(train.topics) & set(heldout.topics)
    frames = [
        {skeleton(turn.source) for topic in loaded.topics.values() for turn in turns(topic)}
        for loaded in (train, heldout)
    ]
    # A turn of a chat may be only a slot. The entries that fill it are checked below.
    assert not (frames[0] & frames[1]) - {"{}.", "{}。", "{}！", "{}!"}
    entries = [
        {
            entry.source.lower()
            for topic in loaded.topics.values()
            for lexicon in topic.lexicons.values()
            for entry in lexicon.entries
        }
        for loaded in (train, heldout)
    ]
    assert not entries[0] & entries[1]
    names = [
        {name for seed in range(2000) for name in loaded.speakers(random.Random(seed))}
        for loaded in (train, heldout)
    ]
    assert not names[0] & names[1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_heldout_text_overlaps_little_with_training_text(language):
    seen: set[tuple[str, ...]] = set()
    for seed in range(60):
        seen.update(grams(distractors.text(random.Random(seed), language, 4000, "train")))
    fresh = []
    for seed in range(60, 70):
        fresh += grams(distractors.text(random.Random(seed), language, 4000, "heldout"))
    assert len(fresh) > 30_000
    assert sum(gram in seen for gram in fresh) / len(fresh) < LARGEST_OVERLAP
    # For comparison, training text overlaps with training text over a hundred times as much.
    again = grams(distractors.text(random.Random(99), language, 4000, "train"))
    assert sum(gram in seen for gram in again) / len(again) > 100 * LARGEST_OVERLAP


@pytest.mark.parametrize(("language", "split"), BOTH)
def test_nothing_reads_like_a_fact_of_the_benchmark(language, split):
    path = Path(content.__file__).with_name(f"{language}_{split}.yaml")
    assert not FACT_LIKE.findall(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_some_entries_are_drawn_once_and_steps_stay_in_order(language):
    loaded = content.load(language, "train")
    ordered = [topic for topic in loaded.topics.values() if topic.is_ordered and topic.once]
    assert ordered
    for topic in ordered:
        lexicon = topic.lexicons[topic.once[0]]
        _, text = distractors.passage(random.Random(1), language, "train", topic.name)
        lowered = text.lower()
        assert sum(entry.source.lower() in lowered for entry in lexicon.entries) <= 1
        heads = [re.split(r"[{}]", unit.turns[0].source)[0] for unit in topic.units]
        places = [text.find(head) for head in heads if len(head) >= 4 and heads.count(head) == 1]
        places = [place for place in places if place >= 0]
        assert places == sorted(places)


CONTENT = """
lexicons:
  speaker: [Ann, Bob, Cleo, Dan, Eve, Fay]
topics:
  boats:
    style: essay
    lexicons:
      boat: [a barge, a ferry, a canoe, a cutter, a dory, a skiff]
      size: ["{2-9} metres", "{20-90/10} feet", a mile, three good yards, an inch, a hand]
    sentences: |
      {Boat} meets {boat} at noon, and neither of them gives way at all.
      One sees {boat} of {size}.
      Two see {boat} of {size}.
      Three see {boat} of {size}.
      Four see {boat} of {size}.
      Five see {boat} of {size}.
      Six see {boat} of {size}.
      Seven see {boat} of {size}.
      Eight see {boat} of {size}.
      Nine see {boat} of {size}.
"""


def read(tmp_path: Path, text: str) -> content.Content:
    path = tmp_path / "en_train.yaml"
    path.write_text(text, encoding="utf-8")
    return content.read(path, "en")


def test_slots_are_filled_as_documented(tmp_path):
    topic = read(tmp_path, CONTENT).topics["boats"]
    pair, sized = topic.units[0].turns[0], topic.units[1].turns[0]
    assert variety(pair) == 36
    assert variety(sized) == 6 * (8 + 8 + 4)
    assert sized.lengths == (8, 9)
    sizes = set()
    for seed in range(400):
        filled = pair.fill(random.Random(seed), {}, {})
        first, second = re.fullmatch(r"A (\w+) meets a (\w+) at noon, .*", filled).groups()
        assert first != second
        filled = sized.fill(random.Random(seed), {"boat": "the ark"}, {})
        sizes.add(re.fullmatch(r"One sees the ark of (.*)\.", filled)[1])
    metres, feet = (
        {int(size.split()[0]) for size in sizes if size.endswith(unit)} for unit in ("tres", "feet")
    )
    assert metres == set(range(2, 10))
    assert feet == set(range(20, 91, 10))


def test_an_exchange_alternates_two_speakers_and_repeats_no_entry(tmp_path):
    chat = CONTENT.replace("essay", "chat").replace(
        " of {size}.", "? // {Boat}! // {Size}, {boat}."
    )
    chat = chat.replace("at noon, and neither of them gives way at all.", "at noon. // No.")
    loaded = read(tmp_path, chat)
    for seed in range(200):
        rng = random.Random(seed)
        speakers = loaded.speakers(rng)
        lines = loaded.topics["boats"].units[3].fill(rng, {}, speakers).split("\n")
        names = [line.split(": ")[0] for line in lines]
        assert names[0] == names[2] != names[1]
        assert set(names) <= set(speakers) <= {"Ann", "Bob", "Cleo", "Dan", "Eve", "Fay"}
        boats = re.findall("barge|ferry|canoe|cutter|dory|skiff", "\n".join(lines))
        assert len(set(boats)) == len(boats) == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("style: essay", "style: poem", "style 'poem'"),
        ("style: essay", "style: chat", "in chats and nowhere else"),
        ("style: essay", "stile: essay", "expected the keys"),
        ("speaker: ", "speakers: ", "'speaker'"),
        ("a canoe, ", "", "'boat'"),
        ("a canoe", "a ferry", "'boat'"),
        ("a canoe", "yes", "'boat'"),
        ("boat: [", "Boat: [", "lower-case"),
        ("boat: [", "speaker: [", "name that no other lexicon has"),
        ("Nine see {boat}", "Nine see {bote}", "{bote}"),
        ("Nine see {boat}", "Nine see {9-2}", "rising range"),
        ("Nine see {boat}", "Nine see {boat", "unbalanced"),
        ("Nine see {boat} of {size}", "Nine see a raft of ten feet", "expected a slot"),
        ("Nine see {boat}", "Nine see " + "{boat}, " * 7, "more than 6 times"),
        ("Nine see {boat} of {size}.", "Nine see {boat} of {size}", "sentence end"),
        ("Nine see", "Nine " + "and nine " * 30 + "see", "at most 60"),
        ("      Nine see {boat} of {size}.\n", "", "10 or more"),
        ("Nine see", "Eight see", "10 or more"),
        (" of {size}", "", "used by no sentence"),
        ("style: essay", "style: essay\n    once: [ship]", "once"),
        ("style: essay", "style: essay\n    once: boat", "once"),
        ("topics:", "topics: [", "not readable as YAML"),
    ],
)
def test_faulty_content_is_refused_by_name(tmp_path, old, new, message):
    assert old in CONTENT
    with pytest.raises(UserError, match=re.escape(message)) as error:
        read(tmp_path, CONTENT.replace(old, new))
    assert "en_train.yaml" in str(error.value)


def test_bad_arguments_are_refused():
    rng = random.Random(0)
    with pytest.raises(UserError, match="'fr'"):
        distractors.text(rng, "fr", 100, "train")
    with pytest.raises(UserError, match="'test'"):
        distractors.passage(rng, "en", "test")
    with pytest.raises(UserError, match="'quarks'"):
        distractors.passage(rng, "en", "train", topic="quarks")
    with pytest.raises(UserError, match="-1"):
        distractors.text(rng, "en", -1, "train")
