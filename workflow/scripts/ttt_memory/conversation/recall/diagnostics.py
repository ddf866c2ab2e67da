"""Gates and next-token losses on facts, filler and distractor text, and the size of dW."""

import random

import numpy as np
import torch
from scipy.stats import bootstrap
from torch import Tensor
from torch.nn import functional as F

from ...benchmark import Sample, distractors
from ...fast_weights import FastWeights
from ...vocabulary import HEADLINE_SPLIT, SEGMENTS
from ..config.asking import RecallConfig
from ..prompts.fact_places import fact_tokens, session_tokens
from ..prompts.prompter import Prompter
from .write_dialogues import write_texts, written_gates

FACT, FILLER, DISTRACTOR = SEGMENTS


@torch.no_grad()
def diagnose(
    fw: FastWeights, prompter: Prompter, samples: list[Sample], config: RecallConfig
) -> list[dict]:
    """Rows of schemas.DIAGNOSTICS (without run and seed), intervals by bootstrap over dialogues."""
    chosen = [s for s in samples if s.level == 1 and s.split == config.sweep_split]
    chosen = chosen[: config.sweep_samples]
    per_sample: dict[tuple[str, int, str], list[float]] = {}
    for sample in chosen:
        for key, value in _measure(fw, prompter, sample, config).items():
            per_sample.setdefault(key, []).append(value)
    return [_row(*key, np.array(values), config.seed) for key, values in per_sample.items()]


def _measure(
    fw: FastWeights, prompter: Prompter, sample: Sample, config: RecallConfig
) -> dict[tuple[str, int, str], float]:
    rng = random.Random(f"{config.seed}/{sample.sample_id}")
    noise = distractors.text(rng, sample.language, config.segment_tokens, "heldout")
    noise_ids = prompter.ids([noise])[0][: config.segment_tokens]
    noise_ids = prompter.around(noise_ids, sample.language)
    dialogue_ids, is_fact = fact_tokens(prompter, sample)
    found = {}
    for ids, segments in (
        (dialogue_ids, {FACT: is_fact, FILLER: ~is_fact}),
        (noise_ids, {DISTRACTOR: torch.ones(len(noise_ids), dtype=torch.bool)}),
    ):
        found.update(_token_means(fw, prompter, ids, segments, config.segment_tokens))
        state = write_texts(fw, prompter, [[ids]], config.segment_tokens)
        segment = DISTRACTOR if DISTRACTOR in segments else "dialogue"
        for layer, norm in state.norms(fw).items():
            found["relative_norm", layer, segment] = norm.item()
    return found


@torch.no_grad()
def token_gates(
    fw: FastWeights, prompter: Prompter, samples: list[Sample], config: RecallConfig
) -> list[dict]:
    """Rows of schemas.GATES (without run and seed): how far the gate opens for each token.

    They are of all samples in the split of the verdict, or in that of the sweeps if the benchmark
    has no such split, since the report chooses its examples later. There are none without a gate.
    """
    splits = {sample.split for sample in samples}
    split = HEADLINE_SPLIT if HEADLINE_SPLIT in splits else config.sweep_split
    rows = []
    for sample in (one for one in samples if one.split == split):
        for number, session in enumerate(sample.sessions):
            ids, places = session_tokens(prompter, session, sample.language)
            for (start, end), gate in zip(places, _gates(fw, prompter, ids, config), strict=False):
                if start < len(session) and end > 0:
                    place = {"sample_id": sample.sample_id, "session": number}
                    rows.append({**place, "start": start, "end": end, "gate": gate})
    return rows


def _gates(
    fw: FastWeights, prompter: Prompter, ids: list[int], config: RecallConfig
) -> list[float]:
    """The mean gate over layers for each token, as recall writes the text; [] without gates."""
    found = []
    for place in range(0, len(ids), config.segment_tokens):
        gates = written_gates(fw, prompter.opening, ids[place : place + config.segment_tokens])
        if gates:
            found += torch.stack(list(gates.values())).mean(0).tolist()
    return found


def _token_means(
    fw: FastWeights,
    prompter: Prompter,
    ids: list[int],
    segments: dict[str, Tensor],
    length: int,
) -> dict[tuple[str, int, str], float]:
    """Mean gate by layer, and mean next-token loss of the base, over the tokens of each segment.

    The text is processed as recall writes it, `length` tokens at a time.
    """
    pieces = [
        _gates_and_surprise(fw, prompter.opening, ids[start : start + length])
        for start in range(0, len(ids), length)
    ]
    surprise = torch.cat([surprise for _, surprise in pieces])
    found = {}
    for name, chosen in segments.items():
        for layer in pieces[0][0]:
            gate = torch.cat([gates[layer] for gates, _ in pieces])
            if chosen.any():
                found["gate", layer, name] = gate[chosen].mean().item()
        foreseen = chosen & ~surprise.isnan()
        if foreseen.any():
            found["next_token_loss", -1, name] = surprise[foreseen].mean().item()
    return found


def _gates_and_surprise(
    fw: FastWeights, opening: list[int], ids: list[int]
) -> tuple[dict[int, Tensor], Tensor]:
    """Gates by layer `[T]`, and next-token losses `[T]` of the base, NaN for the first token."""
    start = len(opening)
    input_ids = torch.tensor([opening + ids], device=fw.model.device)
    gates = written_gates(fw, opening, ids)
    logits = fw.plain(input_ids=input_ids).logits[0, start:-1].float()
    # The loss of a token, given all before it, is how much it surprises the model.
    surprise = F.cross_entropy(logits, input_ids[0, start + 1 :], reduction="none")
    return gates, F.pad(surprise.cpu(), (1, 0), value=torch.nan)


def _row(statistic: str, layer: int, segment: str, values: np.ndarray, seed: int) -> dict:
    low = high = float(values.mean())
    if len(values) > 1 and values.std() > 0:
        interval = bootstrap((values,), np.mean, random_state=seed, method="percentile")
        low, high = interval.confidence_interval
    return {
        "statistic": statistic,
        "layer": layer,
        "segment": segment,
        "value": float(values.mean()),
        "low": float(low),
        "high": float(high),
        "n": len(values),
    }
