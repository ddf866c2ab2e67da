"""What writing does inside: gates and surprise on facts, filler and distractor; size of dW."""

import random

import numpy as np
import torch
from scipy.stats import bootstrap
from torch import Tensor
from torch.nn import functional as F

from ..benchmark import Sample, distractors
from ..fast_weights import FastWeights
from .config import RecallConfig
from .prompts import Prompter
from .writing import write_texts

FACT, FILLER, DISTRACTOR = "fact", "filler", "distractor"


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
        found.update(_token_means(fw, prompter, ids, segments))
        state = write_texts(fw, prompter, [[ids]], config.segment_tokens)
        segment = DISTRACTOR if DISTRACTOR in segments else "dialogue"
        for layer, norm in state.norms(fw).items():
            found["relative_norm", layer, segment] = norm.item()
    return found


def fact_tokens(prompter: Prompter, sample: Sample) -> tuple[list[int], Tensor]:
    """Ids of the rendered dialogue, and which of them `[T]` hold a part of a fact's value."""
    rendered = prompter.text(sample.dialogue, sample.language)
    encoded = prompter.tokenizer(rendered, add_special_tokens=False, return_offsets_mapping=True)
    shift = rendered.index(sample.dialogue)
    spans = [(fact.start + shift, fact.end + shift) for fact in sample.facts if fact.start >= 0]
    places = encoded["offset_mapping"]
    is_fact = [any(a < end and start < b for start, end in spans) for a, b in places]
    return encoded["input_ids"], torch.tensor(is_fact)


def _token_means(
    fw: FastWeights, prompter: Prompter, ids: list[int], segments: dict[str, Tensor]
) -> dict[tuple[str, int, str], float]:
    """Mean gate per layer and mean next-token loss (memory off) over each segment's tokens."""
    start = len(prompter.opening)
    input_ids = torch.tensor([prompter.opening + ids], device=fw.model.device)
    written = (torch.arange(input_ids.shape[1], device=input_ids.device) >= start)[None]
    gates = fw.write(input_ids=input_ids, write_mask=written).gates or {}
    gates = {layer: gate[:, start:] for layer, gate in gates.items()}
    logits = fw.plain(input_ids=input_ids).logits[0, start:-1].float()
    # The loss of a token is what the model, having read all before it, did not foresee.
    surprise = F.cross_entropy(logits, input_ids[0, start + 1 :], reduction="none").cpu()
    found = {}
    for name, chosen in segments.items():
        if chosen.any():
            for layer, gate in gates.items():
                found["gate", layer, name] = gate[0].cpu()[chosen].mean().item()
        if chosen[1:].any():
            found["next_token_loss", -1, name] = surprise[chosen[1:]].mean().item()
    return found


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
