"""The gates of single tokens that the report shades words with, and a memory left as it was."""

import torch

from asked_runs import CONFIG
from conversation_models import fast_weights, model, prompter, samples
from ttt_memory.conversation.recall.diagnostics import token_gates
from ttt_memory.conversation.recall.sanity import Sanity


def gated():
    """Fast weights whose gate depends on the token."""
    fw = fast_weights(lr=3.0, gate="top")
    with torch.no_grad():
        for parameter in fw.fast.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.manual_seed(1)))
    return fw


def test_gates_are_those_of_writing_and_lie_on_the_text():
    single = [sample for sample in samples() if len(sample.sessions) == 1]
    fw, sample = gated(), single[-1]
    config = CONFIG.model_copy(update={"sweep_split": sample.split})
    rows = list(token_gates(fw, prompter(), single[-3:], config))
    rows = [row for row in rows if row["sample_id"] == sample.sample_id]
    (text,) = sample.sessions
    assert "".join(text[row["start"] : row["end"]] for row in rows) == text
    ids = prompter().opening + prompter().sessions(sample)[0]
    written = torch.ones(1, len(ids), dtype=torch.bool)
    written[:, : len(prompter().opening)] = False
    gates = fw.write(input_ids=torch.tensor([ids]), write_mask=written).gates
    expected = torch.stack(list(gates.values())).mean(0)[0, len(prompter().opening) :].tolist()
    shown = [row["gate"] for row in rows]
    assert len(set(shown)) > 5
    # The template puts a few tokens around the text.
    assert any(
        shown == expected[first : first + len(shown)]
        for first in range(len(expected) - len(shown) + 1)
    )


def test_without_a_gate_there_are_no_rows():
    config = CONFIG.model_copy(update={"sweep_split": samples()[0].split})
    assert token_gates(fast_weights(lr=3.0), prompter(), samples()[:2], config) == []


def test_a_memory_that_was_not_trained_must_be_as_it_was():
    """A run without steps passes if nothing moved, and a trained one fails as untrained."""
    torch.manual_seed(0)
    fresh, moved = fast_weights(lr=3.0), gated()
    checks = {}
    for name, fw in (("fresh", fresh), ("moved", moved)):
        sanity = Sanity(fw, model, prompter(), samples()[:2], 64, fresh_memory=True)
        checks[name] = sanity.parameters_moved()[0]
    assert checks["fresh"]
    assert not checks["moved"]
