"""The write gate before the first step: a linear classifier of what is told, and of other text.

The gate is g = clamp(w . u / |u| + b, 0, 1), and the loss of the answers moves it slowly: one
token's gate hardly matters to an answer. What it has to tell apart is known for the training
corpus, the values of its dialogues and its distractor passages, so w and b are first fitted to
that, by logistic regression. All other tokens of a dialogue are left out: training decides on them.
"""

import random
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...benchmark import Sample
from ...errors import UserError
from ...fast_weights import FastWeights
from ...fast_weights.base_model import gated_mlps
from ..prompts.fact_places import fact_tokens
from ..prompts.prompter import Prompter
from .corpus_sampler import CorpusSampler

DIALOGUES, DISTRACTORS, TOKENS = 100, 40, 500  # the last: tokens of a distractor
TOP = -1  # stands in place of a layer's number for the last hidden state
PENALTY = 1e-7  # on |w|^2, beside the mean log-loss; u has length one, so w is long
OPEN = 4.0  # log-odds from which a token is written whole; at even odds it is not written
Marked = tuple[list[int], Tensor]  # ids of a text, and which of its tokens count [T] bool


def fit_gate(fw: FastWeights, sampler: CorpusSampler) -> None:
    """Set the gate of each layer to what tells told values from distractors in the corpus.

    The draw depends on the seed of `sampler`.

    Raises:
        UserError: the places of no value are known.
    """
    parts = told, _ = training_texts(sampler)
    if not any(mark.any() for _, mark in told):
        raise UserError("train.fit_gate: no dialogue of the corpus says where its values stand")
    top, layers = fw.config.gate == "top", fw.config.layers
    seen = [directions(fw, sampler.prompter, () if top else layers, part) for part in parts]
    for layer in layers:
        weight, bias = logistic_regression(*(u[TOP if top else layer] for u in seen))
        part = fw.fast[str(layer)]
        with torch.no_grad():
            part.gate_weight.copy_(weight / OPEN)
            part.gate_bias.copy_(bias / OPEN)


def training_texts(sampler: CorpusSampler) -> tuple[list[Marked], list[Marked]]:
    """Dialogues of the corpus with their told tokens, and distractors in their languages."""
    rng, prompter = random.Random(f"{sampler.seed}/gate"), sampler.prompter
    samples = rng.sample(sampler.samples, min(DIALOGUES, len(sampler.samples)))
    told = [told_tokens(prompter, s, i) for s in samples for i in range(len(s.sessions))]
    languages = [s.language for s in rng.choices(samples, k=DISTRACTORS)] if samples else []
    texts = [sampler.passages.distractor(rng, language, TOKENS) for language in languages]
    return told, [every_token(prompter, *pair) for pair in zip(texts, languages, strict=True)]


def told_tokens(prompter: Prompter, sample: Sample, session: int = 0) -> Marked:
    """A session; marked are the tokens of values and the one before each: it returns the first."""
    ids, is_fact = fact_tokens(prompter, sample, session)
    return ids, is_fact | F.pad(is_fact[1:], (0, 1))


def every_token(prompter: Prompter, ids: list[int], language: str) -> Marked:
    """A distractor of the token ids `ids`, all marked."""
    ids = prompter.around(ids, language)
    return ids, torch.ones(len(ids), dtype=torch.bool)


def directions(
    fw: FastWeights, prompter: Prompter, layers: tuple[int, ...], texts: list[Marked]
) -> dict[int, Tensor]:
    """What a gate may be computed from, for the N marked tokens of all `texts`.

    By layer the input of its MLP, and under `TOP` the last hidden state: float32 `[N, d]`, rows of
    length one.
    """
    found = [_directions(fw, prompter.opening, layers, *text) for text in texts]
    return {place: torch.cat([one[place] for one in found]) for place in (*layers, TOP)}


@torch.no_grad()
def _directions(
    fw: FastWeights, opening: list[int], layers: tuple[int, ...], ids: list[int], chosen: Tensor
) -> dict[int, Tensor]:
    seen: dict[int, Tensor] = {}

    def keep(layer: int, _module: nn.Module, inputs: tuple[Tensor]) -> None:
        seen[layer] = inputs[0]

    mlps = gated_mlps(fw.model, layers)
    hooks = [mlps[i].register_forward_pre_hook(partial(keep, i)) for i in layers]
    try:
        output = fw.plain(
            input_ids=torch.tensor([opening + ids], device=fw.model.device),
            use_cache=False,
            output_hidden_states=True,
            logits_to_keep=1,
        )
    finally:
        for hook in hooks:
            hook.remove()
    seen[TOP] = output.hidden_states[-1]
    return {i: F.normalize(u[0, len(opening) :][chosen].float(), dim=-1) for i, u in seen.items()}


def logistic_regression(told: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Weight `[d]` and bias of the log-odds w . u + b that u is a row of `told`, not of `other`.

    Both count alike, however many rows `[N, d]` they have. Rows are float32, of length one.
    """
    scale = told.shape[1] ** 0.5  # so that the search is well conditioned
    weight = told.new_zeros(told.shape[1], requires_grad=True)
    bias = told.new_zeros((), requires_grad=True)
    search = torch.optim.LBFGS([weight, bias], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        missed = F.softplus(-(told @ (scale * weight) + bias)).mean()
        leaked = F.softplus(other @ (scale * weight) + bias).mean()
        total = (missed + leaked) / 2 + PENALTY * (scale * weight).square().sum()
        total.backward()
        return total

    with torch.enable_grad():
        search.step(loss)
    return (scale * weight).detach(), bias.detach()
