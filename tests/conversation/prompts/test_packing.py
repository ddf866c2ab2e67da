"""Packed rows: a probe gets the logits that it would get in a row of its own."""

import torch

from conversation_models import model, prompter, samples
from ttt_memory.conversation.prompts.packing import IGNORE, pack, pad_left, pad_right


def test_packed_probes_get_the_logits_of_rows_of_their_own():
    base, encoded = model(), prompter().encode(samples()[:2])
    packed = pack(
        [e.context for e in encoded],
        [e.questions for e in encoded],
        [e.answers for e in encoded],
    )
    with torch.no_grad():
        logits = base(
            input_ids=packed.input_ids,
            attention_mask=packed.mask,
            position_ids=packed.position_ids,
        ).logits
    for row, e in enumerate(encoded):
        chosen = packed.labels[row] != IGNORE
        found, place = logits[row][chosen], 0
        for question, answer in zip(e.questions, e.answers, strict=True):
            alone = torch.tensor([e.context + question + answer[:-1]])
            with torch.no_grad():
                expected = base(input_ids=alone).logits[0, -len(answer) :]
            torch.testing.assert_close(found[place : place + len(answer)], expected)
            place += len(answer)
        assert place == len(found)


def test_labels_are_the_answers_and_the_context_shifted():
    packed = pack([[5, 6, 7]], [[[8, 9], [10]]], [[[11, 2], [12, 13, 2]]])
    assert packed.input_ids.tolist() == [[5, 6, 7, 8, 9, 11, 10, 12, 13]]
    assert packed.position_ids.tolist() == [[0, 1, 2, 3, 4, 5, 3, 4, 5]]
    ignore = IGNORE
    assert packed.labels.tolist() == [[ignore] * 4 + [11, 2, 12, 13, 2]]
    assert packed.lm_labels.tolist() == [[6, 7] + [ignore] * 7]


def test_a_probe_sees_its_context_and_itself_only():
    mask = pack([[5, 6]], [[[8], [10]]], [[[11, 2], [12, 2]]]).mask[0, 0]
    seen = [[int(k) for k in row.nonzero().flatten()] for row in mask]
    assert seen == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 4], [0, 1, 4, 5]]


def test_rows_are_padded_on_the_left_or_on_the_right():
    assert pad_left([[1, 2], [3]], 0)[0].tolist() == [[1, 2], [0, 3]]
    assert pad_right([[1, 2], [3]], 0)[1].tolist() == [[1, 1], [1, 0]]


def test_decoding_stops_at_the_end_token():
    p = prompter()
    ids = p.ids(["abc", "def"])
    assert p.decode([*ids[0], p.end, *ids[1]]) == ("abc", True)
    assert p.decode(ids[0]) == ("abc", False)
