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
        also: further keys of the section `recall` that only such sweeps read.
    """

    name: str
    label: str
    meaning: str
    settings: str
    setting_label: str
    in_context: bool = False
    whole_samples: bool = True
    also: tuple[str, ...] = ("sweep_samples",)

    @property
    def title(self) -> str:
        """Name and label, as in the legend of a figure."""
        return f"{self.name}: {self.label}"

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of `recall` that it reads and other conditions do not."""
        return (self.settings, *self.also)


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
        Condition(
            "C",
            "nothing",
            "The model sees only the question and has no memory. The right answer to every"
            " question is then to refuse.",
        ),
        Condition(
            "D",
            "fast weights, then distractor",
            "As B, but the sample's distractor was written after the dialogue.",
            every_probe=False,
        ),
        Condition(
            "W",
            "another dialogue's fast weights",
            "As B, but another dialogue was written into the fast weights. Here, too, a refusal is"
            " right.",
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

_SAME = ("alternative_distances", "alternative_samples")
# Other ways to keep a dialogue, with the bytes that they keep. Each is asked right after the
# dialogue and after distractor text.
ALTERNATIVES = {
    sweep.name: sweep
    for sweep in (
        Sweep(
            "B_bytes",
            "fast weights, compacted",
            "Condition B with a state that is compacted to a budget of bytes.",
            settings="budgets",
            setting_label="bytes of the state / bytes of the dialogue's KV cache",
            also=_SAME,
        ),
        Sweep(
            "K",
            "KV cache, most attended entries",
            "Of the KV cache, the entries that received most attention are kept.",
            settings="budgets",
            setting_label="bytes kept / bytes of the dialogue's KV cache",
            in_context=True,
            also=_SAME,
        ),
        Sweep(
            "K_gate",
            "KV cache, most gated tokens",
            "Of the KV cache, the tokens are kept that the write gate lets through most.",
            settings="budgets",
            setting_label="bytes kept / bytes of the dialogue's KV cache",
            in_context=True,
            also=_SAME,
        ),
        Sweep(
            "Q",
            "KV cache, quantised",
            "The KV cache is cut to as many entries as the dialogue has tokens, as for K, and these"
            " are quantised.",
            settings="bits",
            setting_label="bits of a number",
            in_context=True,
            also=_SAME,
        ),
        Sweep(
            "R",
            "best turns by BM25",
            "The text is kept. The turns that fit a question best are put back into the context.",
            settings="turns",
            setting_label="turns put back",
            also=_SAME,
        ),
        Sweep(
            "L",
            "LoRA trained on the text",
            "A low-rank adapter is trained on the text by gradient steps. The text is dropped.",
            settings="lora_ranks",
            setting_label="rank of the adapter",
            also=(*_SAME, "lora_steps", "lora_lr"),
        ),
    )
}
WHOLE = float("inf")  # the setting of `budgets` that keeps everything
# The best that a text can give: all of it in the KV cache, or read again for each question (T).
WHOLE_CACHE = "K"
SWEPT = SWEEPS | ALTERNATIVES  # all that has settings

IN_CONTEXT = tuple(name for name, entry in (CONDITIONS | SWEEPS).items() if entry.in_context)
# All whose texts go through the KV cache as a whole, also if parts of them are dropped then.
CACHED = (*IN_CONTEXT, *(name for name, entry in ALTERNATIVES.items() if entry.in_context))
EVERY_PROBE = tuple(name for name, condition in CONDITIONS.items() if condition.every_probe)

# Ratios of EM: numerator and denominator.
MEMORY_EFFICIENCY = ("B", "A")
RETENTION_RATIO = ("D", "B")
COMPARED = MEMORY_EFFICIENCY[::-1]  # as tables and figures order them
SAME_TEXT = ("1", "2")  # levels on which A and B were given the same text; the headline is of them
DISTRACTOR_LEVEL = "3"  # here A has a distractor in its context too, and D has written it

# Conditions whose EM is compared by a paired test, and what the comparison shows.
PAIRS = {
    ("B", "C"): "fast weights against nothing",
    ("B", "W"): "against another dialogue's fast weights",
    ("B", "N"): "against noise of equal norm",
    ("A", "B"): "context against fast weights",
}

# Conditions that a table or figure shows by a choice of its own.
REFUSING = ("C", "W")  # nothing that the model has answers the question: a refusal is right
REFUSAL_CONDITIONS = ("A", "B", *REFUSING)
NOT_IN_EXAMPLES = ("C", "N")
CONTROLS = ("C", "W", "N")
BY_LEVEL = ("A", "B", "D")
BEHIND_DISTRACTOR = ("A", "D")  # both have the dialogue and then the distractor
BY_POSITION = ("A", "B", "D")
WITH_DISTRACTOR = ("A", "B", "D", "C")
COSTED = ("A", "B", "C", "D")  # W and N cost what B costs

# By what of them no training has shown.
SPLITS = {
    "train": "nothing new",
    "new_values": "new values",
    "new_wording": "new question wording",
    "new_skeletons": "new skeletons",
    "all_new": "all new",
}
HEADLINE_SPLIT = "all_new"  # values, wording of questions and skeletons: nothing of it was trained
LEVELS = {
    "1": "direct recall",
    "2": "two facts composed",
    "3": "distractor after the dialogue",
    "4": "a value is changed later",
    "5": "who said what",
    "6": "unanswerable",
}
# On levels where a wrong answer can be the probe's rival: the right answer, the rival, and others.
OUTCOMES = {"4": ("latest", "old", "neither"), "5": ("own", "other", "neither")}
# Whether a question shares a word with the passage of the dialogue that answers it.
GROUNDINGS = {"shared": "words shared", "none": "no word shared"}
THIRDS = ("front", "middle", "back")
# Parts of a text over which gates and losses are averaged.
SEGMENTS = {
    "fact": "the values of facts",
    "filler": "the rest of the dialogue",
    "distractor": "distractor text",
}
