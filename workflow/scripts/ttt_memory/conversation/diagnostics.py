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
from .packing import pad_right
from .prompts import Prompter
from .recall import write_texts

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
    encoded = prompter.tokenizer(
        sample.dialogue, add_special_tokens=False, return_offsets_mapping=True
    )
    spans = [(fact.start, fact.end) for fact in sample.facts if fact.start >= 0]
    is_fact = torch.tensor(
        [any(a < end and start < b for start, end in spans) for a, b in encoded["offset_mapping"]]
    )
    found = {}
    for ids, segments in (
        (encoded["input_ids"], {FACT: is_fact, FILLER: ~is_fact}),
        (noise_ids, {DISTRACTOR: torch.ones(len(noise_ids), dtype=torch.bool)}),
    ):
        found.update(_token_means(fw, prompter, ids, segments))
        state = write_texts(fw, prompter, [[ids]], config.segment_tokens)
        segment = DISTRACTOR if DISTRACTOR in segments else "dialogue"
        for layer, norm in state.norms(fw).items():
            found["relative_norm", layer, segment] = norm.item()
    return found


def _token_means(
    fw: FastWeights, prompter: Prompter, ids: list[int], segments: dict[str, Tensor]
) -> dict[tuple[str, int, str], float]:
    """Mean gate per layer and mean next-token loss (memory off) over each segment's tokens."""
    input_ids, mask = pad_right([ids], prompter.pad)
    input_ids, mask = input_ids.to(fw.model.device), mask.to(fw.model.device)
    gates = fw.write(input_ids=input_ids, attention_mask=mask).gates or {}
    logits = fw.plain(input_ids=input_ids, attention_mask=mask).logits[0, :-1].float()
    # The loss of a token is what the model, having read all before it, did not foresee.
    surprise = F.cross_entropy(logits, input_ids[0, 1:], reduction="none").cpu()
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
