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

from ...errors import UserError
from ...fast_weights import FastWeights
from ...fast_weights.base_model import gated_mlps
from ..prompts.fact_places import fact_tokens
from .corpus_sampler import CorpusSampler

DIALOGUES, DISTRACTORS, TOKENS = 100, 40, 500  # the last: tokens of a distractor
TOP = -1  # stands in place of a layer's number for the last hidden state
Marked = tuple[list[int], Tensor]  # ids of a text, and which of its tokens are learned from
PENALTY = 1e-7  # on |w|^2, beside the mean log-loss; u has length one, so w is long
OPEN = 4.0  # log-odds from which a token is written whole; at even odds it is not written


def fit_gate(fw: FastWeights, sampler: CorpusSampler) -> None:
    """Set the gate of each layer to what tells told values from distractors in the corpus.

    A token is taken as told if it or the next one is part of a value: it is the token before a
    value that returns its beginning. The draw depends on the seed of `sampler`.

    Raises:
        UserError: the places of no value are known.
    """
    rng = random.Random(f"{sampler.seed}/gate")
    told = marked_dialogues(sampler, rng)
    if not any(mark.any() for _, mark in told):
        raise UserError("train.fit_gate: no dialogue of the corpus says where its values stand")
    other = marked_distractors(sampler, rng)
    opening = sampler.prompter.opening
    found: dict[int, list[Tensor]] = {}
    for ids, chosen in [*told, *other]:
        for layer, u in gate_inputs(fw, opening, ids).items():
            found.setdefault(layer, []).append(u[chosen])
    for layer, parts in found.items():
        positive = torch.cat([p.new_full(p.shape[:1], i < len(told)) for i, p in enumerate(parts)])
        weight, bias = logistic_regression(torch.cat(parts), positive)
        part = fw.fast[str(layer)]
        with torch.no_grad():
            part.gate_weight.copy_(weight / OPEN)
            part.gate_bias.copy_(bias / OPEN)


def marked_dialogues(sampler: CorpusSampler, rng: random.Random) -> list[Marked]:
    """Sessions of dialogues; marked are the tokens of values, and each before one."""
    samples = rng.sample(sampler.samples, min(DIALOGUES, len(sampler.samples)))
    places = [(sample, i) for sample in samples for i in range(len(sample.sessions))]
    found = [fact_tokens(sampler.prompter, *place) for place in places]
    return [(ids, is_fact | F.pad(is_fact[1:], (0, 1))) for ids, is_fact in found]


def marked_distractors(sampler: CorpusSampler, rng: random.Random) -> list[Marked]:
    """Distractors in the languages of the dialogues, all of whose tokens are marked."""
    languages = [sample.language for sample in rng.choices(sampler.samples, k=DISTRACTORS)]
    texts = [sampler.passages.distractor(rng, language, TOKENS) for language in languages]
    found = [sampler.prompter.around(*pair) for pair in zip(texts, languages, strict=True)]
    return [(ids, torch.ones(len(ids), dtype=torch.bool)) for ids in found]


def gate_inputs(fw: FastWeights, opening: list[int], ids: list[int]) -> dict[int, Tensor]:
    """What the gate of each layer is computed from: `[T, d]` of length one for the tokens `ids`."""
    layers = fw.config.layers
    if fw.config.gate == "top":
        return dict.fromkeys(layers, directions(fw, (), opening, ids)[TOP])
    found = directions(fw, layers, opening, ids)
    return {layer: found[layer] for layer in layers}


@torch.no_grad()
def directions(
    fw: FastWeights, layers: tuple[int, ...], opening: list[int], ids: list[int]
) -> dict[int, Tensor]:
    """The inputs of the MLPs of `layers`, and under `TOP` the last hidden state, of length one.

    Each is float32 `[T, d]` for the tokens `ids`; the opening before them is left out.
    """
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
    return {i: F.normalize(u[0, len(opening) :].float(), dim=-1) for i, u in seen.items()}


def logistic_regression(u: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Weight `[d]` and bias of the log-odds w . u + b that a row of `u` `[N, d]` is positive.

    Both classes count alike, however many rows they have.

    Args:
        u: float32 rows.
        positive: `[N]`, 1 or 0; both occur.
    """
    share = positive.mean()
    counts = torch.where(positive > 0, 0.5 / share, 0.5 / (1 - share))
    scale = u.shape[1] ** 0.5  # rows of length one: so that the search is well conditioned
    weight = u.new_zeros(u.shape[1], requires_grad=True)
    bias = u.new_zeros((), requires_grad=True)
    search = torch.optim.LBFGS([weight, bias], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        odds = u @ (scale * weight) + bias
        fit = F.binary_cross_entropy_with_logits(odds, positive, counts)
        total = fit + PENALTY * (scale * weight).square().sum()
        total.backward()
        return total

    with torch.enable_grad():
        search.step(loss)
    return (scale * weight).detach(), bias.detach()
