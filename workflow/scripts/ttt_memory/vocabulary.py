"""The words of the conversation study as plain data: conditions, sweeps, splits, their labels.

Configuration, recall, scoring and report take their lists from here. A new condition is one
entry of `CONDITIONS` and the code in `conversation/recall/episodes.py` that makes its episodes.

This module imports nothing of the package. Recall depends on it, so an edit of it asks all
probes again. That is why colours are not here: `report/figures/style.py` gives each condition
one by its place in the list.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    """What the model is given before it answers a probe.

    Attributes:
        name: the letter in files, tables and figures.
        label: the words beside the letter in figures.
        meaning: the sentence that explains it in the report.
        in_context: the texts stand in the context when the probe is asked.
        every_probe: every probe of the benchmark is asked; otherwise those of the samples that
            have a distractor.
    """

    name: str
    label: str
    meaning: str
    in_context: bool = False
    every_probe: bool = True

    @property
    def title(self) -> str:
        """Letter and label, as in the legend of a figure."""
        return f"{self.name}: {self.label}"


@dataclass(frozen=True)
class Sweep:
    """A condition at several settings; its rows in files carry the setting.

    Attributes:
        name: the name in files and in the configuration.
        label: the title of its section in the report.
        meaning: the sentence that explains it in the report.
        settings: the key of the configuration section `recall` that lists the settings.
        setting_label: what a setting is, as the label of an axis.
        in_context: as of a condition.
        whole_samples: every probe of a chosen sample is asked; otherwise only those that a
            single one of the dialogues in the state answers.
    """

    name: str
    label: str
    meaning: str
    settings: str
    setting_label: str
    in_context: bool = False
    whole_samples: bool = True


# The order here is the order in every table and figure.
CONDITIONS = {
    condition.name: condition
    for condition in (
        Condition(
            "A",
            "dialogue in context",
            "The dialogue is in the model's context and the memory is off. On level 3 the"
            " distractor is in the context too.",
            in_context=True,
        ),
        Condition(
            "B",
            "fast weights only",
            "The dialogue was written into the fast weights and everything else of it was dropped."
            " The model sees only the question.",
        ),
        Condition("C", "nothing", "The model sees only the question and has no memory."),
        Condition(
            "D",
            "fast weights, then distractor",
            "As B, but the sample's distractor was written after the dialogue.",
            every_probe=False,
        ),
        Condition(
            "W",
            "another dialogue's fast weights",
            "As B, but another dialogue was written into the fast weights.",
        ),
        Condition(
            "N",
            "noise of equal norm",
            "As B, but the fast weights are replaced by noise of the same rank and norm.",
        ),
    )
}

SWEEPS = {
    sweep.name: sweep
    for sweep in (
        Sweep(
            "scale",
            "Scale of the write",
            "Condition B with the written fast weights multiplied by a factor.",
            settings="scales",
            setting_label="factor on the written fast weights",
        ),
        Sweep(
            "retention",
            "Retention",
            "Condition B after a number of tokens of distractor text was written into the same"
            " state. No training has seen this text.",
            settings="distances",
            setting_label="distractor tokens written after the dialogue",
        ),
        Sweep(
            "capacity",
            "Capacity",
            "Several dialogues are written into one state. The context is dropped after each of"
            " them. Then probes of all of them are asked.",
            settings="dialogues",
            setting_label="dialogues written into one state",
            whole_samples=False,
        ),
        Sweep(
            "capacity_context",
            "Capacity of the context",
            "The same dialogues as in `capacity`, all of them in context.",
            settings="dialogues",
            setting_label="dialogues in context",
            in_context=True,
            whole_samples=False,
        ),
    )
}

IN_CONTEXT = tuple(name for name, entry in (CONDITIONS | SWEEPS).items() if entry.in_context)
EVERY_PROBE = tuple(name for name, condition in CONDITIONS.items() if condition.every_probe)

# Ratios of EM: numerator and denominator.
MEMORY_EFFICIENCY = ("B", "A")
RETENTION_RATIO = ("D", "B")
COMPARED = MEMORY_EFFICIENCY[::-1]  # as tables and figures order them

# Conditions whose EM is compared by a paired test, and what the comparison shows.
PAIRS = {
    ("B", "C"): "fast weights against nothing",
    ("B", "W"): "against another dialogue's fast weights",
    ("B", "N"): "against noise of equal norm",
    ("A", "B"): "context against fast weights",
}

# Conditions that a table or figure shows by a choice of its own.
CONTROLS = ("C", "W", "N")
BY_LEVEL = ("A", "B", "D")
BEHIND_DISTRACTOR = ("A", "D")  # both have the dialogue and then the distractor
BY_POSITION = ("A", "B", "D")
WITH_DISTRACTOR = ("A", "B", "D", "C")
COSTED = ("A", "B", "C", "D")  # W and N cost what B costs

SPLITS = {
    "train": "training values and skeletons",
    "heldout_values": "held-out values",
    "heldout_skeletons": "held-out skeletons",
    "heldout_both": "both held out",
}
# The same splits by what of them no training has shown.
NEW_IN_SPLITS = {
    "train": "seen values, seen wording",
    "heldout_values": "new values",
    "heldout_skeletons": "new wording",
    "heldout_both": "new values, new wording",
}
# Whether a question shares a word with the passage of the dialogue that answers it.
GROUNDINGS = {"shared": "words shared", "none": "no word shared"}
THIRDS = ("front", "middle", "back")
# Parts of a text over which gates and losses are averaged.
SEGMENTS = {
    "fact": "the values of facts",
    "filler": "the rest of the dialogue",
    "distractor": "distractor text",
}
