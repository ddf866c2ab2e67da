"""The report's sentences: fixed explanations, and those that quote measured numbers."""

import numpy as np
import pandas as pd

from ..forecast.comparison.results import Study
from ..scoring.verdict import verdict
from .figures.inside import over_seeds
from .figures.style import of_seeds
from .results import SPLITS, Results
from .tables.common import estimate, keyed

LOW = 0.5  # EM(A) under which the text warns of the ratio

CONDITIONS = """\
**A** has the dialogue in its context, with the memory off (on level 3 the distractor too); **B**
answers from the fast weights alone: everything else of the dialogue is dropped; **C** has nothing;
**D** is B after the distractor has been written as well; **W** has another dialogue's fast weights;
**N** has noise of the same rank and norm. `em` is strict: the whole answer up to the end token must
equal the gold answer once case, punctuation and white space are normalised. The guessing floor is
the share of questions answered right by always giving the most frequent gold answer of the
question's kind, as found in the other dialogues; at most, by a guesser who has seen this dialogue's
answers too. Dotted boxes in the figure reach from the one to the other."""

PAIRED = """\
Both conditions answer the same probes. The p value is of a sign-flip permutation test over
dialogues, two-sided, not corrected for the number of tests; the smallest it can be is one over the
number of permutations plus one."""

CATEGORY = """\
A probe counts once in the category of each fact that it requires. All levels together: on level 3
A has a distractor in its context too, which B has not read."""

POSITION = """\
By the third of the dialogue in which the value of the (first) required fact stands, all levels
together. By the order of the probes, on levels 1 and 3, as published: the second table."""

DISTRACTOR = """\
Level 3 only. B has written the dialogue, D the dialogue and then the sample's distractor, unrelated
text; A has both in its context. EM(D)/EM(B) is on the same probes."""

RETENTION = """\
Condition B after a number of tokens of distractor text that no training has seen, written into the
same state. The retention ratio is against no distractor, on the same probes."""

HELD_OUT = """\
In *held-out values* every value of the dialogue was kept out of training; in *held-out skeletons*
the wording of dialogue and questions was; in the last, both. Questions that share no word with the
passage that answers them cannot be told from the wording alone, so they stand apart. Levels 1 and
2, where A and B have read the same."""

COMPOSITION = """\
A *bridge* question names a fact only through another one; a *pair* question asks for two values at
once. *Single* are the questions of levels 1 and 3."""

CAPACITY = """\
Several dialogues are written into one state, the context dropped between them, and all are asked;
questions that two of them would answer are left out. The memory efficiency is against all of these
dialogues in context. Order: whether a later dialogue is remembered as well as the first."""

SCALE = """\
Condition B with the written fast weights multiplied by a factor."""

NORMS = """\
Frobenius norm of what was written over that of the layer's weights, by layer."""

TRAINING = """\
Medians of pieces of each curve. The inner norm is the mean over layers of the size of the write,
relative to the weights, at each training step that writes."""

ATTRIBUTION = """\
Each run changes one thing of the baseline and nothing else; the last lines are regimes of their
own. Intervals as everywhere."""

BENCHMARK = """\
Generated; the card beside the benchmark file has lengths and examples."""

_FORECAST = """\
A second study, apart from the first: does a memory that is written at test time help to forecast a
series? Each forecast of the next sample sees the last `context_window` samples directly and older
ones only through the memory, which starts anew with every series. The test MSE is in standardised
units, with a 95% Student interval over training seeds. *Memory gain* is the MSE of the same model
without memory minus this one, seed by seed; a memory's other parameters may help too, which a
strategy that never writes would show. *Against reference* is the MSE minus the reference
strategy's on the same series: for series recorded by themselves with a bootstrap interval over
series and seeds and a sign-flip test, two-sided, not corrected for the number of tests; for windows
of longer records with a Student interval over seeds, and no p. A star marks the published protocol,
whose forecasts depend on the batch and on later samples, so that it is compared with nothing."""

_GATES = """\
The loss is the model's next-token loss with the memory off: how surprising a token is. A gate is
how much of a token is written, from 0 to 1, averaged over the tokens of the values (*fact*), the
rest of the dialogue (*filler*) and distractor text."""

_METHOD = """\
- **Values** are means over training seeds of the mean over probes. **Intervals** are 95% percentile
  bootstrap intervals. What is resampled is dialogues, since the probes of one dialogue are not
  independent, and, where a run has several, training seeds, crossed with the dialogues (pigeonhole
  bootstrap); a ratio resamples both of its sides alike.
- An interval over three seeds is still a rough one. An interval of zero width at 0 or 1 means that
  no dialogue differed, not that none would: with n dialogues, 3/n is the usual bound.
- The capacity sweep's intervals treat dialogues that share a state as independent.
- `em_contains`, the published metric, takes "1500" for "15" and rewards rambling; it is here for
  comparison only. Imported predictions in the published layout do not say where the answer ends:
  their strict `em` is of the first line that is not blank.
- Dialogues are generated from skeletons. Held-out skeletons tell how much of a result is knowledge
  of the skeletons; none of it tells of conversations between people."""


def verdicts(results: Results) -> str:
    """One paragraph a regime: the verdict, its numbers, and what the interval says of it."""
    bars = results.scoring
    rule = (
        f"Memory efficiency is EM(B)/EM(A): the part of what a run answers with the dialogue in "
        f"context that it still answers from its fast weights alone. It is of levels 1 and 2, "
        f"where both have read the same; level 3, with a distractor, has its own section. Bars, "
        f"fixed beforehand: above "
        f"{bars.viable:g} viable, {bars.partial:g} to {bars.viable:g} partial, below "
        f"{bars.partial:g} not viable."
    )
    return "\n\n".join([*(_verdict(results, run) for run in results.regimes()), rule])


def _verdict(results: Results, run: str) -> str:
    row = results.one("memory_efficiency", run=run)
    label = results.label(run)
    if row is None:
        return f"**{label}: not measured.** It lacks condition A or B."
    ems = [results.one("em_compared", run=run, condition=c)["value"] for c in "AB"]
    text = (
        f"**{label}: {results.verdict(run)}.** Memory efficiency {estimate(row)} on all "
        f"{row['n']:,} probes of {row['dialogues']:,} dialogues, {of_seeds(row['seeds'])}: "
        f"EM(A) {ems[0]:.3f}, EM(B) {ems[1]:.3f}."
    )
    if np.isnan(row["value"]):
        return f"{text} No probe is answered right in context, so there is no ratio."
    if ems[0] < LOW:
        text += (
            f" EM(A) is below {LOW:g}: with so little answered in context the ratio says little."
        )
    ends = [verdict(row[end], results.scoring) for end in ("low", "high")]
    if ends[0] != ends[1]:
        text += f" The interval reaches from “{ends[0]}” to “{ends[1]}”."
    split = results.report.split
    part = results.one("memory_efficiency", run=run, split=split)
    if part is not None:
        text += f" On {SPLITS.get(split, split)}: {estimate(part)}."
    return text


def forecast(study: Study) -> str:
    """What the forecast study is, then for each dataset what it found and whether memory helps."""
    return "\n\n".join([_FORECAST, *(_forecast(study, name) for name in study.datasets)])


def _forecast(study: Study, dataset: str) -> str:
    rows = study.leaderboard
    rows = rows[(rows["dataset"] == dataset) & (rows["protocol"] == "strict")]
    if rows.empty:
        return f"**{dataset}.** Published protocol only."
    best = rows.iloc[0]
    value = estimate({"value": best["mse"], "low": best["low"], "high": best["high"]}, 5)
    text = (
        f"**{dataset}.** Lowest error: {best['strategy']}, test MSE {value} on {best['series']:,} "
        f"series, {of_seeds(best['seeds'])}."
    )
    gains = rows[rows["gain"].notna()]
    if gains.empty:
        return text
    return f"{text} {_gains(gains)}"


def _gains(rows: pd.DataFrame) -> str:
    """Which strategies do better with their memory than the same model without."""
    known = rows["gain_low"].notna().all()
    better, worse = rows["gain_low"] > 0, rows["gain_high"] < 0
    if not known:
        better, worse = rows["gain"] > 0, rows["gain"] <= 0
    found = [
        ("Better than the same model without memory:", rows[better]),
        ("No gain (the interval includes zero):", rows[~better & ~worse]),
        ("Worse than without memory:", rows[worse]),
    ]
    texts = [f"{text} {', '.join(part['strategy'])}." for text, part in found if len(part)]
    if not known:
        texts.append("One seed has no interval: that may be chance.")
    return " ".join(texts)


def gates(results: Results) -> str:
    """What gates and surprise are, and which of fact and distractor surprises more."""
    rows = over_seeds(results.diagnostics)
    rows = rows[rows["statistic"] == "next_token_loss"]
    found = keyed(rows, ["run", "segment"])
    lines = [_GATES]
    for run in results.regimes():
        fact, distractor = (found.get((run, segment)) for segment in ("fact", "distractor"))
        if fact is None or distractor is None:
            continue
        first = "neither first (the intervals overlap)"
        if distractor["low"] > fact["high"]:
            first = "distractor text first"
        elif fact["low"] > distractor["high"]:
            first = "facts first"
        lines.append(
            f"{results.label(run)}: {fact['value']:.2f} nats on facts, {distractor['value']:.2f} "
            f"on distractor text; a gate that opens on surprise would write {first}."
        )
    return "\n\n".join(lines)


def limits(results: Results) -> str:
    """How numbers were made, and which runs rest on a single seed."""
    rows = [(run, results.one("em", run=run, condition="B")) for run in results.runs]
    single = [results.label(run) for run, row in rows if row is not None and row["seeds"] == 1]
    text = _METHOD
    if single:
        text += (
            f"\n- One training seed only, so that intervals cover dialogues and not training: "
            f"{', '.join(single)}."
        )
    return text
