"""How often a memory that ships is right, as the page says it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Score:
    """Shares of questions that were new to a memory in every way.

    Attributes:
        fast_weights, context: answered right from fast weights, and with the text in context.
        invented: of questions that nothing told answers, those that fast weights answered.
    """

    fast_weights: float
    context: float
    invented: float


# From the page of each in data/models; PROBES of 28 dialogues, and UNANSWERED that nothing answers.
SCORES = {
    "smollm2-memory": Score(0.202, 0.368, 0.304),
    "smollm2-memory-kept": Score(0.172, 0.393, 0.268),
    "smollm2-memory-wider": Score(0.282, 0.405, 0.643),
    "smollm2-memory-lasting": Score(0.288, 0.387, 0.554),
}
PROBES, UNANSWERED = 163, 56


def how_often(model: str | Path) -> str:
    """A sentence or two on the memory in the folder `model`."""
    score = SCORES.get(Path(model).resolve().parent.name)
    if score is None:
        return (
            "The examples are chosen for the memory that ships with the project. How often another"
            " one is right is in the report of the run that trained it."
        )
    return (
        f"The examples are chosen. Of {PROBES} questions of a kind that it never met in training,"
        f" this memory answered {score.fast_weights:.0%} right from fast weights, and"
        f" {score.context:.0%} with the text in its context. Asked {UNANSWERED} times about what it"
        f" was never told, it made up an answer to {score.invented:.0%}."
    )
