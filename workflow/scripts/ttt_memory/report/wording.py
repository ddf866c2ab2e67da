"""The text of the sections: fixed explanations, and sentences that quote measured numbers."""

from collections.abc import Iterator

import pandas as pd

from ..benchmark.sample import IMPORTED
from ..forecast.comparison.results import Family, Study
from ..vocabulary import ALTERNATIVES, SEGMENTS, SWEEPS
from ..vocabulary import CONDITIONS as KNOWN
from .equal_bytes import (
    CONTEXT,
    MEMORY,
    TEXT,
    Comparison,
    comparisons,
    one,
    points,
    shown_run,
    size,
    unasked,
)
from .results import Results
from .summaries import of_seeds, over_seeds
from .tables.table import estimate, keyed

_CONDITIONS = """\
The table and the figure are of the split of the verdict, all levels together. EM is the share of
probes that are answered right. `em` is strict: the whole answer up to the end
token must equal the gold answer, apart from case, punctuation and white space.

The guessing floor is the EM of always giving the most frequent gold answer of the question's kind.
The lower number counts the answers of the other dialogues only. The upper number ("at most")
counts the answers of the same dialogue too. In the figure, dotted boxes reach from the lower to
the upper number."""

_EQUAL_BYTES = """\
A memory keeps something of a dialogue until a question comes. Here every way to keep it is asked
the same probes, right after the dialogue and after distractor text that followed it, and its bytes
are counted. Budgets are fractions of the KV cache of the dialogue, whatever came after it."""

# What the text of a sweep says after the sweep's meaning.
_MEASURES = {
    "retention": "The retention ratio compares with no distractor, on the same probes.",
    "capacity": "Questions that two of the dialogues would answer are left out. The memory"
    " efficiency compares with all of these dialogues in context. The second table shows whether"
    " the dialogue written last is remembered as well as the first.",
}

_FORECAST = """\
This study is separate from that of conversations. Does a memory that is written at test time help
to forecast a series? A forecast sees the last `context_window` samples directly. It sees older
samples only through the memory, which is reset before every series. Its *horizon* says how many
samples ahead of the last one its target is. All horizons of a dataset are scored on the same
targets.

The test MSE is in standardised units, with a 95% Student interval over training seeds. *Memory
gain* is the MSE of the same model without memory minus this MSE, for each seed. Part of a gain may
come from the parameters of the memory and not from its writes: a strategy that never writes would
show how much.

*Difference* is this MSE minus that of one strategy (`comparison.compared_with`) on the same series.
For series that were recorded separately it has a bootstrap interval over series and seeds, and the
p value of a two-sided sign-flip test. For windows of longer records interval and p are Student's
over seeds. *p (Holm)* is corrected by Holm's method for the number of comparisons on the dataset at
that horizon; it is not corrected for the number of horizons.
A strategy *beats* a rival if the corrected p is below 0.05 and the interval lies below zero.

*Share of possible gain*: 0 is the error of the best forecast that the window alone allows, 1 that
of the best forecast that the whole past allows, where both are known. *Not flat* names the seeds in
which the best validation MSE still fell noticeably in the last fifth of the epochs, and by how
much: these could gain from more training. A star marks the published protocol. Its forecasts depend
on the other series of a batch and on later samples, so they are not compared with the others."""

_GATES = f"""\
The loss is the next-token loss of the model with its memory off: it says how surprising a token is.
A gate says how much of a token is written, from 0 to 1. Both are averaged over the tokens of
{", ".join(f"{meaning} (*{name}*)" for name, meaning in SEGMENTS.items())}."""

_METHOD = """\
- **Values** are means over probes for each training seed, then means over seeds.
- **Intervals** are 95% percentile bootstrap intervals. Skeletons are resampled and, within each one
  drawn, its dialogues, since neither the probes of one dialogue nor the dialogues of one skeleton
  are independent. Where a run has several training seeds, these are resampled too, crossed with
  both (pigeonhole bootstrap). Both sides of a ratio are resampled alike.
- An interval over three seeds is rough. An interval of zero width at 0 or 1 means that all measured
  dialogues agree, not that all dialogues would: with n dialogues, the usual bound is 3/n.
- The intervals of the capacity sweep treat dialogues that share a state as independent.
- `em_contains` is the published metric. It accepts "1500" for "15" and rewards long answers. It is
  here only to compare with published results. Imported predictions in the published layout do not
  say where an answer ends, so their strict `em` takes the first line that is not blank.
- `f1_token` compares stemmed words, as LoCoMo's scorer does. Of several right answers, the one that
  an answer is nearest to counts, in every metric."""

_GENERATED = """
- Dialogues are generated from skeletons. New skeletons show how much of a result depends on
  having seen the skeletons in training. Nothing here was measured on conversations of people."""

_IMPORTED = """
- The conversations and the questions come from files. Their answers are not checked, and an answer
  may be right in other words: `em` then counts it as wrong, and `f1_token` in part."""


def conditions() -> str:
    """What each condition means, and how EM and the guessing floor are defined."""
    meanings = [f"- **{condition.title}.** {condition.meaning}" for condition in KNOWN.values()]
    return "\n".join([*meanings, "", _CONDITIONS])


def equal_bytes(results: Results) -> str:
    """What each alternative is, and where fast weights win and lose, from the numbers."""
    run = shown_run(results)
    if run is None:
        return _EQUAL_BYTES
    methods = set(points(results, run)["method"])
    asked = [entry for name, entry in ALTERNATIVES.items() if name in methods]
    meanings = [f"- **{entry.title}.** {entry.meaning}" for entry in asked]
    return "\n".join([_EQUAL_BYTES, "", *meanings, "", at_equal_bytes(results, run)])


def at_equal_bytes(results: Results, run: str) -> str:
    """Where the fast weights of `run` win and lose, at each distance."""
    found = points(results, run)
    long = unasked(results, run).groupby("distance")["value"].max()
    distances = sorted(found["distance"].unique())
    return " ".join(_at_distance(found, distance, long.get(distance)) for distance in distances)


def _at_distance(found: pd.DataFrame, distance: int, too_long: float | None) -> str:
    """Where fast weights win and lose at one distance; `too_long` are tokens that do not fit."""
    when = f"After {distance:,} tokens of distractor" if distance else "Right after the dialogue"
    made = comparisons(found, distance)
    text, cache = one(found, distance, TEXT), one(found, distance, CONTEXT)
    memory = one(found, distance, MEMORY)
    if memory is not None and too_long is not None:
        return (
            f"**{when}** the whole text, {too_long:,.0f} tokens with a question, does not fit the"
            f" positions of the base model, so it cannot stand in context. Fast weights keep"
            f" {size(memory['state_bytes'])} and answer {estimate(memory)}."
        )
    if memory is None or text is None:
        return f"**{when}** fast weights or the whole KV cache were not asked."
    parts = [
        f"**{when}** fast weights keep {size(memory['state_bytes'])} and answer {estimate(memory)},"
        f" the whole KV cache {size(cache['state_bytes'])} and {estimate(cache)}."
    ]
    for outcome, words in _OUTCOMES.items():
        sizes = [size(c.memory["state_bytes"]) for c in made if c.outcome == outcome]
        if sizes:
            parts.append(
                f"Against the best KV cache of no more bytes they {words} at "
                f"{', '.join(dict.fromkeys(sizes))}."
            )
    times = text["answer_flops"] / memory["answer_flops"]
    smaller = text["state_bytes"] <= memory["state_bytes"]
    loses = smaller and Comparison(memory, text).outcome != "win"
    verdict = "In bytes they lose to it." if loses else "In bytes they do not lose to it."
    parts.append(
        f"The text itself takes {size(text['state_bytes'])} and gives {text['value']:.3f}."
        f" {verdict}"
        f" To read it again for an answer takes {times:.1f} times the FLOPs of an answer from fast"
        " weights."
    )
    return " ".join(parts)


_OUTCOMES = {"win": "win", "tie": "show no clear difference", "lose": "lose"}


def sweep(name: str) -> str:
    """What a sweep means, and what its ratio compares with."""
    return f"{SWEEPS[name].meaning} {_MEASURES.get(name, '')}".strip()


def forecast(study: Study) -> str:
    """What the forecast study is and, for each family, the best strategy and the memory gains."""
    return "\n\n".join([_FORECAST, *(forecast_result(study, one) for one in study.families)])


def forecast_result(study: Study, family: Family) -> str:
    """The best forecaster of a family, the memory gains, and which rivals are beaten."""
    rows = family.rows(study.leaderboard)
    rows = rows[(rows["protocol"] == "strict") & (rows["kind"] != "floor")]
    if rows.empty:
        return f"**{family.name}.** Only the published protocol was run."
    best = rows.iloc[0]
    value = estimate({"value": best["mse"], "low": best["low"], "high": best["high"]}, 5)
    text = (
        f"**{family.name}.** Lowest error: {best['strategy']}, test MSE {value} on"
        f" {best['series']:,} series, {of_seeds(best['seeds'])}."
    )
    gains = rows[rows["gain"].notna()]
    if not gains.empty:
        text += f" {_gains(gains)}"
    return " ".join([text, *_beaten(study, family)])


def _beaten(study: Study, family: Family) -> Iterator[str]:
    """For each rival, which strategies beat it after the correction."""
    rows = family.rows(study.rivals)
    for rival, part in rows.groupby("rival", sort=False):
        names = ", ".join(part.loc[part["beats"], "strategy"]) or "none"
        yield f"After correction for {part['tests'].iloc[0]} comparisons, beats {rival}: {names}."


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
    text += _IMPORTED if set(results.benchmark["split"]) == {IMPORTED} else _GENERATED
    if single:
        text += (
            f"\n- These runs have one training seed, so their intervals cover the choice of"
            f" dialogues but not the chance in training: {', '.join(single)}."
        )
    return text
