"""Conversations that the page offers, each with a question and its right answer.

They are chosen: the memory that ships answers them right. What it answers of all new questions is
in docs/experiments/real-model.md. The last is made by the benchmark's generator.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """Lines to tell, a question about them, and the right answer."""

    name: str
    lines: tuple[str, ...]
    question: str
    answer: str


EXAMPLES = (
    Example(
        "A badge number",
        ("Alice: My badge number is 40713 and I live in Lisbon.",),
        "What is the badge number of Alice?",
        "40713",
    ),
    Example(
        "A trip by train",
        (
            "For the trip we need the tent, two sleeping bags and the gas stove. Miriam brings the"
            " stove.",
            "We leave from platform 12 and change trains in Kassel.",
        ),
        "Where do we change trains?",
        "Kassel",
    ),
    Example(
        "At the library",
        (
            "Lars: Hi, am I too late? I'm looking for the novel Timber Wave 5.",
            "Cecil: You're lucky. The novel stands behind the wooden printer. Mind the step.",
            "Lars: Who wrote it again?",
            "Cecil: The author is Ifeoma Weller, who once worked as second tram tester. May I see"
            " your library card?",
            "Lars: Here, the card number is 392-KI. Do I still owe a fine?",
            "Cecil: You owe a fine of $1,300. And return the novel by November 20th, please.",
            "Lars: Promised. Does the book club still exist?",
            "Cecil: The book club meets next Friday at nine. We serve spiced espresso with cloves,"
            " so do come.",
        ),
        "When does the book club meet?",
        "next Friday at nine",
    ),
)
