"""Distractor text: varied unrelated prose and small talk, composed from sentence patterns.

    rng = random.Random(0)
    distractors.text(rng, "en", 4000, "heldout")     # at least 4,000 proxy tokens of prose
    distractors.passage(rng, "zh", "train")          # ("火山", "……"), one paragraph
    distractors.count("The tide, 3.5 m high.")       # 7

The two splits share no topic, no sentence pattern and no lexicon entry: what is learned on
`train` text meets `heldout` text as something new. Content lies in `<language>_<split>.yaml`;
`content.py` documents and checks its layout.
"""

import random
from itertools import cycle

from ...errors import UserError
from .content import LANGUAGES, LONGEST_SENTENCE, SPLITS, Content, Topic, load
from .patterns import count

__all__ = ["LANGUAGES", "LONGEST_SENTENCE", "SPLITS", "count", "passage", "text", "topics"]

# Tokens a paragraph aims for. Its last sentence may overshoot, to 249 at most.
AIM = range(40, 190)


def topics(language: str, split: str) -> tuple[str, ...]:
    """Names of the topics of a language and split, in file order.

    Raises:
        UserError: unknown language or split, or a faulty content file.
    """
    return tuple(load(language, split).topics)


def passage(
    rng: random.Random, language: str, split: str, topic: str | None = None
) -> tuple[str, str]:
    """One paragraph of 30 to 250 proxy tokens: (topic, text).

    The topic is drawn from `rng` unless named. No sentence pattern occurs twice.

    Raises:
        UserError: unknown language, split or topic, or a faulty content file.
    """
    content = load(language, split)
    name = rng.choice(tuple(content.topics)) if topic is None else topic
    if name not in content.topics:
        raise UserError(
            f"distractor topic {name!r} ({language}, {split}): "
            f"expected one of {', '.join(content.topics)}"
        )
    chosen = content.topics[name]
    units = _paragraph(rng, content, chosen, _shuffled(rng, chosen), rng.choice(AIM))
    return name, _join(language, chosen, units)


def text(rng: random.Random, language: str, tokens: int, split: str) -> str:
    """Unrelated prose of at least `tokens` and less than `tokens` + 60 proxy tokens.

    Paragraphs on changing topics, separated by a blank line; the last one stops at the first
    sentence end that makes the length. A topic returns only after all others, and its
    sentence patterns return only after all of them were used. `tokens` = 0 gives "".

    Raises:
        UserError: unknown language or split, negative `tokens`, or a faulty content file.
    """
    if tokens < 0:
        raise UserError(f"distractor length {tokens}: expected 0 or more tokens")
    content = load(language, split)
    names = list(content.topics)
    rng.shuffle(names)
    decks: dict[str, list[int]] = {name: [] for name in names}
    paragraphs = []
    missing = tokens
    for name in cycle(names):
        if missing <= 0:
            break
        topic = content.topics[name]
        decks[name] = decks[name] or _shuffled(rng, topic)
        aim = min(missing, rng.choice(AIM))
        units = _paragraph(rng, content, topic, decks[name], aim)
        missing -= sum(map(count, units))
        paragraphs.append(_join(language, topic, units))
    return "\n\n".join(paragraphs)


def _shuffled(rng: random.Random, topic: Topic) -> list[int]:
    """A deck: the topic's pattern numbers in random order."""
    return rng.sample(range(len(topic.units)), len(topic.units))


def _paragraph(
    rng: random.Random, content: Content, topic: Topic, deck: list[int], aim: int
) -> list[str]:
    """Take patterns off `deck` and fill them until `aim` tokens are reached or none is left.

    Steps, diaries and chats keep the order in which their patterns are written.
    """
    held = {name: topic.lexicons[name].draw(rng) for name in topic.once}
    speakers = content.speakers(rng) if topic.is_chat else ()
    filled = []
    length = 0
    while deck and length < aim:
        index = deck.pop()
        unit = topic.units[index].fill(rng, held, speakers)
        length += count(unit)
        filled.append((index, unit))
    if topic.is_ordered:
        filled.sort()
    return [unit for _, unit in filled]


def _join(language: str, topic: Topic, units: list[str]) -> str:
    if topic.is_chat:
        return "\n".join(units)
    return ("" if language == "zh" else " ").join(units)
