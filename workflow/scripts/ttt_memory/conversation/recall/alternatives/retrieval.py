"""R: the text itself is kept, and the turns that fit a question best are put back into the context.

Turns are found by BM25 (package bm25s): the question is the query. The documents are the lines of
the dialogue and the sentences of a distractor, which has long paragraphs. The chosen turns stand in
the order of the text. All of the text must be kept, whatever the number of turns, since the
question is not known before.
"""

import re
from collections.abc import Iterator
from functools import partial

from ....benchmark import Probe
from ....errors import UserError
from ....fast_weights.base_model import positions
from ...prompts.prompter import Prompter
from ..answers import Answer
from ..episodes import Episode
from ..kept import Costs, Engine, Kept, Questions

# Words of letters and digits; each Chinese character is a word.
SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*|\n+")
WORDS = re.compile(r"[^\W\u4e00-\u9fff_]+|[\u4e00-\u9fff]")


def best_turns(engine: Engine, batch: list[Episode]) -> Iterator[Kept]:
    """R, at every number of turns."""
    found = [[_ranked(engine.prompter, episode)] for episode in batch]
    costs = [Costs(len(_text(engine.prompter, episode).encode())) for episode in batch]
    for count in engine.config.turns:
        again = [
            _put_back(engine.prompter, episode, *ranked, count)
            for episode, ranked in zip(batch, found, strict=True)
        ]
        answer = partial(_answer, engine, count, again)
        yield Kept(answer, costs, 0.0, float(count), again)


def turns_of(prompter: Prompter, episode: Episode) -> list[str]:
    """The documents that hold a word, in the order of the text, without line breaks."""
    language = episode.asked[0][1].language
    texts = [prompter.content(ids, language) for ids in episode.texts]
    after = [texts.pop()] if episode.distance else []
    found = [line for text in texts for line in text.splitlines()]
    found += [sentence for text in after for sentence in SENTENCE_ENDS.split(text)]
    return [turn for turn in found if words(turn)]


def words(text: str) -> list[str]:
    """What BM25 counts."""
    return WORDS.findall(text.lower())


def rank(turns: list[str], questions: list[str]) -> list[list[int]]:
    """For each question, the places of all `turns` from the best to the worst; ties keep order."""
    # Most jobs do not retrieve.
    import bm25s

    index = bm25s.BM25()
    index.index([words(turn) for turn in turns], show_progress=False)
    ranked = []
    for question in questions:
        scores = index.get_scores(words(question))
        ranked.append(sorted(range(len(turns)), key=lambda place: -scores[place]))
    return ranked


def _ranked(prompter: Prompter, episode: Episode) -> tuple[list[str], list[list[int]]]:
    turns = turns_of(prompter, episode)
    probes: list[Probe] = [probe for _, _, probe in episode.asked]
    return turns, rank(turns, [probe.question for probe in probes])


def _put_back(
    prompter: Prompter, episode: Episode, found: tuple[list[str], list[list[int]]], count: int
) -> list[list[int]]:
    """For each question, the ids of its `count` best turns."""
    turns, ranked = found
    chosen = ["\n".join(turns[i] for i in sorted(places[:count])) + "\n" for places in ranked]
    return prompter.texts(chosen, [episode.asked[0][1].language] * len(chosen))


def _answer(
    engine: Engine, count: int, again: Questions, questions: Questions
) -> list[list[Answer]]:
    """Every question is a row of its own, since it has a context of its own."""
    contexts = [ids for row in again for ids in row]
    flat = [ids for row in questions for ids in row]
    most = max(len(c) + len(q) for c, q in zip(contexts, flat, strict=True))
    most += len(engine.prompter.opening) + engine.config.max_new_tokens
    longest = positions(engine.fw.model)
    if longest is not None and most > longest:
        raise UserError(
            f"recall.turns: {count} turns of a text with question and answer have {most} tokens,"
            f" expected at most {longest}, the positions of the base model"
        )
    order = sorted(range(len(flat)), key=lambda i: len(contexts[i]))
    said: list[Answer | None] = [None] * len(flat)
    for start in range(0, len(order), engine.config.rows):
        part = order[start : start + engine.config.rows]
        found = engine.answer([[flat[i]] for i in part], contexts=[contexts[i] for i in part])
        for i, (one,) in zip(part, found, strict=True):
            said[i] = one
    answers = iter(said)
    return [[next(answers) for _ in row] for row in questions]


def _text(prompter: Prompter, episode: Episode) -> str:
    return prompter.tokenizer.decode(episode.ids)
