"""Checks that a model can be studied. They run before any work, and fail with one clear line."""

import torch
from transformers import PreTrainedModel

from ...benchmark import Sample
from ...errors import UserError
from ...fast_weights.base_model import positions
from ..prompts.packing import pack
from ..prompts.prompter import Prompter
from .attention_masks import packed_mask
from .logits import logits_of

# Largest difference that another order of sums may make, relative to the largest value. A wrong
# mask gives about 1.
TOLERANCE = {torch.bfloat16: 0.1, torch.float16: 0.02}
FULL_PRECISION = 1e-3


@torch.no_grad()
def check_model(model: PreTrainedModel) -> None:
    """Check two properties of `model` on random tokens.

    A probe that is packed beside others gets the logits of a row of its own, and the logits of the
    model are those that `logits_of` computes for training.

    Raises:
        UserError: the model lacks one of them.
    """
    draw = torch.Generator().manual_seed(0)
    vocabulary = model.get_input_embeddings().num_embeddings
    drawn = torch.randint(vocabulary, (24,), generator=draw).tolist()
    context, probes = drawn[:10], [drawn[10:16], drawn[16:]]
    packed = pack([context], [probes], [[[0], [0]]]).to(model.device)
    output = model(
        input_ids=packed.input_ids,
        attention_mask=packed_mask(model, packed),
        position_ids=packed.position_ids,
        use_cache=False,
        output_hidden_states=True,
    )
    _require_close(
        model,
        logits_of(model, output.hidden_states[-1]),
        output.logits,
        "its logits are not its output embedding of its last hidden state",
    )
    for number, probe in enumerate(probes, start=1):
        alone = torch.tensor([context + probe], device=model.device)
        _require_close(
            model,
            output.logits[packed.segment == number],
            model(input_ids=alone, use_cache=False).logits[0, len(context) :],
            "a probe packed beside others does not see what it sees alone",
        )


def tolerance(model: PreTrainedModel, logits: torch.Tensor) -> float:
    """Largest change of `logits` that is accepted between batches of different shapes."""
    return TOLERANCE.get(model.dtype, FULL_PRECISION) * logits.abs().max().item()


def _require_close(
    model: PreTrainedModel, found: torch.Tensor, expected: torch.Tensor, what: str
) -> None:
    if not (found - expected).abs().max() <= tolerance(model, expected):
        raise UserError(f"{type(model).__name__} cannot be studied: {what}")


def check_positions(model: PreTrainedModel, prompter: Prompter, samples: list[Sample]) -> None:
    """Refuse dialogues that do not fit the positions of the model with a question and its answer.

    Raises:
        UserError: a dialogue is too long; the first one is named.
    """
    longest = positions(model)
    if longest is None:
        return
    # A text has at most as many tokens as bytes, so only the longest ones must be encoded.
    long = [s for s in samples if _most_tokens(prompter, s) > longest]
    for sample, encoded in zip(long, prompter.encode(long), strict=True):
        pairs = zip(encoded.questions, encoded.answers, strict=True)
        probe = max((len(question) + len(answer) for question, answer in pairs), default=0)
        found = len(prompter.opening) + len(encoded.context) + probe
        if found > longest:
            raise UserError(
                f"sample {sample.sample_id}: the dialogue with a question and its answer has "
                f"{found} tokens, expected at most {longest}, the positions of the base model"
            )


def _most_tokens(prompter: Prompter, sample: Sample) -> int:
    """An upper bound on the tokens of the dialogue with its longest probe: their bytes."""
    language = sample.language
    probes = [
        prompter.question(probe.question, language) + prompter.answer(probe.gold, language)
        for probe in sample.probes
    ]
    sessions = [prompter.text(session, language) for session in sample.sessions]
    texts = [prompter.template.opening, *sessions, max(probes, key=len, default="")]
    # One more for each: a mark that a tokenizer may put before a text; and the end token.
    return 1 + sum(1 + len(text.encode()) for text in texts)
