"""The text of the report: fixed explanations, and sentences that quote measured numbers."""

import numpy as np
import pandas as pd

from ..forecast.comparison.results import Study
from ..scoring.verdict import verdict
from ..vocabulary import COMPARED, SEGMENTS, SPLITS, SWEEPS
from ..vocabulary import CONDITIONS as KNOWN
from .results import Results
from .summaries import of_seeds, over_seeds
from .tables.table import estimate, keyed

LOW = 0.5  # an EM(A) below this makes the ratio say little

_CONDITIONS = """\
EM is the share of probes that are answered right. `em` is strict: the whole answer up to the end
token must equal the gold answer, apart from case, punctuation and white space.

The guessing floor is the EM of always giving the most frequent gold answer of the question's kind.
The lower number counts the answers of the other dialogues only. The upper number ("at most")
counts the answers of the same dialogue too. In the figure, dotted boxes reach from the lower to
the upper number."""

PAIRED = """\
Both conditions of a pair answer the same probes. The p value is that of a sign-flip permutation
test over dialogues. It is two-sided and not corrected for the number of tests. The smallest
possible p is 1 / (permutations + 1)."""

CATEGORY = """\
A probe counts once for each fact that it requires, in the category of that fact. All levels are
taken together. On level 3 the context of A holds a distractor, which B was not given."""

POSITION = """\
The figure and the first table divide probes by the third of the dialogue that holds the value of
the (first) required fact. All levels are taken together. The second table divides probes by their
order, on levels 1 and 3, as published."""

DISTRACTOR = """\
This section is about level 3 only. For B the dialogue was written. For D the dialogue was written
and then the distractor of the sample, which is unrelated text. A has both in context.
EM(D)/EM(B) is measured on the same probes."""

HELD_OUT = """\
*Held-out values*: no value of the dialogue occurs in training. *Held-out skeletons*: the wording of
the dialogue and of the questions does not occur in training. *Both held out*: neither does. Some
questions share no word with the passage that answers them. The wording alone does not tell what
they ask for, so they have lines of their own. Levels 1 and 2 only: there A and B were given the
same text."""

COMPOSITION = """\
A *bridge* question names one fact by means of another fact. A *pair* question asks for two values
at once. *Single* questions are those of levels 1 and 3."""

# What the text of a sweep says after the sweep's meaning.
_MEASURES = {
    "retention": "The retention ratio compares with no distractor, on the same probes.",
    "capacity": "Questions that two of the dialogues would answer are left out. The memory"
    " efficiency compares with all of these dialogues in context. The second table shows whether"
    " the dialogue written last is remembered as well as the first.",
}

NORMS = """\
The Frobenius norm of what was written, divided by the norm of the layer's weights, for each
layer."""

TRAINING = """\
Curves show medians over consecutive training steps. The inner norm is the size of the write
relative to the weights, averaged over layers. It is measured in training steps that write."""

ATTRIBUTION = """\
Below the baseline run are the runs that change one thing of it. The last lines are the other
regimes. Intervals are computed as in the other sections."""

BENCHMARK = """\
The benchmark is generated. The card beside the benchmark file has lengths and examples."""

_FORECAST = """\
This is a second study, separate from the first. Does a memory that is written at test time help to
forecast a series? A forecast of the next sample sees the last `context_window` samples directly.
It sees older samples only through the memory, which is reset before every series.

The test MSE is in standardised units, with a 95% Student interval over training seeds. *Memory
gain* is the MSE of the same model without memory minus this MSE, for each seed. Part of a gain may
come from the parameters of the memory and not from its writes: a strategy that never writes would
show how much.

*Against reference* is this MSE minus that of the reference strategy on the same series. For series
that were recorded separately it has a bootstrap interval over series and seeds, and the p value of
a sign-flip test, two-sided and not corrected for the number of tests. For windows of longer
records it has a Student interval over seeds, and no p value. A star marks the published protocol.
Its forecasts depend on the other series of a batch and on later samples, so they are not compared
with the others."""

_GATES = f"""\
The loss is the next-token loss of the model with its memory off: it says how surprising a token is.
A gate says how much of a token is written, from 0 to 1. Both are averaged over the tokens of
{", ".join(f"{meaning} (*{name}*)" for name, meaning in SEGMENTS.items())}."""

_METHOD = """\
- **Values** are means over probes for each training seed, then means over seeds.
- **Intervals** are 95% percentile bootstrap intervals. Dialogues are resampled, since the probes of
  one dialogue are not independent. Where a run has several training seeds, these are resampled
  too, crossed with the dialogues (pigeonhole bootstrap). Both sides of a ratio are resampled alike.
- An interval over three seeds is rough. An interval of zero width at 0 or 1 means that all measured
  dialogues agree, not that all dialogues would: with n dialogues, the usual bound is 3/n.
- The intervals of the capacity sweep treat dialogues that share a state as independent.
- `em_contains` is the published metric. It accepts "1500" for "15" and rewards long answers. It is
  here only to compare with published results. Imported predictions in the published layout do not
  say where an answer ends, so their strict `em` takes the first line that is not blank.
- Dialogues are generated from skeletons. Held-out skeletons show how much of a result depends on
  having seen the skeletons in training. Nothing here was measured on conversations of people."""


def conditions() -> str:
    """What each condition means, and how EM and the guessing floor are defined."""
    meanings = [f"- **{condition.title}.** {condition.meaning}" for condition in KNOWN.values()]
    return "\n".join([*meanings, "", _CONDITIONS])


def sweep(name: str) -> str:
    """What a sweep means, and what its ratio compares with."""
    return f"{SWEEPS[name].meaning} {_MEASURES.get(name, '')}".strip()


def verdicts(results: Results) -> str:
    """One paragraph per regime: the verdict, its numbers, and what the interval leaves open."""
    bars = results.scoring
    rule = (
        f"Memory efficiency is EM(B)/EM(A): of what a run answers right with the dialogue in "
        f"context, the part that it answers right from its fast weights alone. It is measured on "
        f"levels 1 and 2, where both were given the same text. Level 3, with a distractor, has its "
        f"own section. The bars were fixed before any run: viable above {bars.viable:g}, partial "
        f"from {bars.partial:g} to {bars.viable:g}, not viable below {bars.partial:g}."
    )
    return "\n\n".join([*(_verdict(results, run) for run in results.regimes()), rule])


def _verdict(results: Results, run: str) -> str:
    row = results.one("memory_efficiency", run=run)
    label = results.label(run)
    if row is None:
        return f"**{label}: not measured.** It lacks condition A or B."
    ems = [results.one("em_compared", run=run, condition=c)["value"] for c in COMPARED]
    text = (
        f"**{label}: {results.verdict(run)}.** Memory efficiency {estimate(row)} on all "
        f"{row['n']:,} probes of {row['dialogues']:,} dialogues, {of_seeds(row['seeds'])}: "
        f"EM(A) {ems[0]:.3f}, EM(B) {ems[1]:.3f}."
    )
    if np.isnan(row["value"]):
        return f"{text} No probe is answered right in context, so there is no ratio."
    if ems[0] < LOW:
        text += (
            f" EM(A) is below {LOW:g}: so little is answered in context that the ratio says little."
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
    """What the forecast study is and, for each dataset, the best strategy and the memory gains."""
    return "\n\n".join([_FORECAST, *(_forecast(study, name) for name in study.datasets)])


def _forecast(study: Study, dataset: str) -> str:
    rows = study.leaderboard
    rows = rows[(rows["dataset"] == dataset) & (rows["protocol"] == "strict")]
    if rows.empty:
        return f"**{dataset}.** Only the published protocol was run."
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
    """Which strategies have a lower error than the same model without memory."""
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
        texts.append("With one seed there is no interval, so this may be chance.")
    return " ".join(texts)


def gates(results: Results) -> str:
    """What gates and surprise are, and whether facts or distractor text surprise the model more."""
    rows = over_seeds(results.diagnostics)
    rows = rows[rows["statistic"] == "next_token_loss"]
    found = keyed(rows, ["run", "segment"])
    lines = [_GATES]
    for run in results.regimes():
        fact, distractor = (found.get((run, segment)) for segment in ("fact", "distractor"))
        if fact is None or distractor is None:
            continue
        preferred = "neither more than the other (the intervals overlap)"
        if distractor["low"] > fact["high"]:
            preferred = "more of the distractor text"
        elif fact["low"] > distractor["high"]:
            preferred = "more of the facts"
        lines.append(
            f"{results.label(run)}: {fact['value']:.2f} nats on facts, {distractor['value']:.2f} "
            f"on distractor text. A gate that opens on surprise would write {preferred}."
        )
    return "\n\n".join(lines)


def limits(results: Results) -> str:
    """How numbers are computed, and which runs have a single training seed."""
    rows = [(run, results.one("em", run=run, condition="B")) for run in results.runs]
    single = [results.label(run) for run, row in rows if row is not None and row["seeds"] == 1]
    text = _METHOD
    if single:
        text += (
            f"\n- These runs have one training seed, so their intervals cover the choice of"
            f" dialogues but not the chance in training: {', '.join(single)}."
        )
    return text
