"""What a model must do to be studied, tried on it before any work: each refusal is one line."""

import torch
from transformers import PreTrainedModel

from ...benchmark import Sample
from ...errors import UserError
from ...fast_weights.base_model import positions
from ..prompts.packing import pack
from ..prompts.prompter import Prompter
from ..train.loss import logits_of
from .attention_masks import packed_mask

# Differences of sums in another order, relative to the largest value; a wrong mask gives about 1.
TOLERANCE = {torch.bfloat16: 0.1, torch.float16: 0.02}
FULL_PRECISION = 1e-3


@torch.no_grad()
def check_model(model: PreTrainedModel) -> None:
    """Try that packed probes see what rows of their own would, and that logits are as trained.

    Raises:
        UserError: the model does not do so.
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
    """How far `logits` may change when they are computed in batches of another shape."""
    return TOLERANCE.get(model.dtype, FULL_PRECISION) * logits.abs().max().item()


def _require_close(
    model: PreTrainedModel, found: torch.Tensor, expected: torch.Tensor, what: str
) -> None:
    if not (found - expected).abs().max() <= tolerance(model, expected):
        raise UserError(f"{type(model).__name__} cannot be studied: {what}")


def check_positions(model: PreTrainedModel, prompter: Prompter, samples: list[Sample]) -> None:
    """Refuse dialogues that, with a question and its answer, are longer than the model's positions.

    Raises:
        UserError: names the first one.
    """
    longest = positions(model)
    if longest is None:
        return
    # No tokenizer makes more tokens than bytes of a text: the others need no count.
    doubtful = [s for s in samples if _bytes(prompter, s) > longest]
    for sample, encoded in zip(doubtful, prompter.encode(doubtful), strict=True):
        pairs = zip(encoded.questions, encoded.answers, strict=True)
        probe = max((len(question) + len(answer) for question, answer in pairs), default=0)
        found = len(prompter.opening) + len(encoded.dialogue) + probe
        if found > longest:
            raise UserError(
                f"sample {sample.sample_id}: the dialogue with a question and its answer has "
                f"{found} tokens, expected at most {longest}, the positions of the base model"
            )


def _bytes(prompter: Prompter, sample: Sample) -> int:
    """At least as many as the tokens of the dialogue with the longest probe."""
    language = sample.language
    probes = [
        prompter.question(probe.question, language) + prompter.answer(probe.gold, language)
        for probe in sample.probes
    ]
    texts = prompter.layout.opening, prompter.text(sample.dialogue, language)
    # One more each for the end token and for the mark that a tokenizer may begin a text with.
    return 4 + sum(len(t.encode()) for t in (*texts, max(probes, key=len, default="")))
