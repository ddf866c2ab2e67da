"""Distractors: prose and small talk without facts, composed from sentence patterns.

    rng = random.Random(0)
    distractors.text(rng, "en", 4000, "heldout")     # at least 4,000 proxy tokens
    distractors.passage(rng, "zh", "train")          # ("火山", "……"): topic and one paragraph
    distractors.count("The tide, 3.5 m high.")       # 7 proxy tokens

The splits `train` and `heldout` share no topic, no sentence pattern and no word list. So held-out
text is new to a model that was trained on training text. The content is in
`<language>_<split>.yaml`; `content.py` describes and checks the layout of these files.
"""

import random
from itertools import cycle

from ...errors import UserError
from .content import Content, Topic, load
from .patterns import count

__all__ = ["count", "passage", "text"]

# Proxy tokens after which a paragraph ends. With its last sentence it may have up to 249.
AIM = range(40, 190)


def passage(
    rng: random.Random, language: str, split: str, topic: str | None = None
) -> tuple[str, str]:
    """One paragraph of 30 to 250 proxy tokens: (topic, text).

    The topic is drawn at random unless it is given. No sentence pattern occurs twice.

    Raises:
        UserError: language, split or topic is unknown, or a content file is malformed.
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
    """A text of at least `tokens` and less than `tokens` + 60 proxy tokens.

    It has paragraphs on different topics, separated by blank lines. It ends with the first sentence
    that makes it long enough. A topic is repeated only after all others, and a sentence pattern
    only after all others of its topic. `tokens` = 0 gives "".

    Raises:
        UserError: language or split is unknown, `tokens` is negative, or a content file is
            malformed.
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
    """The numbers of the topic's sentence patterns, in random order."""
    return rng.sample(range(len(topic.units)), len(topic.units))


def _paragraph(
    rng: random.Random, content: Content, topic: Topic, deck: list[int], aim: int
) -> list[str]:
    """Fill patterns from `deck` until there are `aim` tokens or no pattern is left.

    The patterns are removed from `deck`. Topics of an ordered style, such as steps, keep the order
    of the file.
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
