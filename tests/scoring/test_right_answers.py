"""Several right answers, and the token F1 that LoCoMo uses."""

import pandas as pd
import pytest

from ttt_memory.benchmark.sample import IMPORTED, Fact, Probe, Sample
from ttt_memory.scoring.predictions import COLUMNS
from ttt_memory.scoring.probe_scores import score
from ttt_memory.scoring.string_metrics import f1_token


def scored(prediction: str, kind: str = "city", gold: str = "New York", *accepted: str) -> dict:
    fact = Fact("F1", gold, kind, kind, gold, -1, -1)
    probe = Probe("P1", "Where?", gold, kind, ("F1",), "unknown", accepted)
    sample = Sample("S1", 1, "en", IMPORTED, f"{IMPORTED}/S1", ("A: hi",), None, (fact,), (probe,))
    said = {
        "run": "r",
        "seed": 0,
        "condition": "A",
        "setting": float("nan"),
        "order": -1,
        "sample_id": "S1",
        "probe_id": "P1",
        "prediction": prediction,
        "answer": prediction,
        "gold": None,
        "file": "f",
    }
    return score([sample], pd.DataFrame([said]).reindex(columns=COLUMNS)).iloc[0].to_dict()


def test_the_nearest_of_several_right_answers_counts_in_every_metric():
    missed = scored("The Big Apple", "city", "New York")
    assert (missed["em"], missed["em_contains"], missed["f1_token"]) == (0, 0, 0)
    right = scored("the big apple", "city", "New York", "NYC", "The Big Apple!")
    assert [right[name] for name in ("em", "em_contains", "f1_char", "f1_token")] == [1, 1, 1, 1]
    part = scored("I say NYC", "city", "New York", "NYC")
    assert (part["em"], part["em_contains"], part["f1_token"]) == (0, 1, 0.5)


def test_imported_questions_have_no_order_of_facts():
    assert scored("x")["probe_order"] is None


@pytest.mark.parametrize(
    ("prediction", "gold", "value"),
    [
        ("She painted the horses", "a painting, horse", 0.8),  # 2 of 3 words, both of 2
        ("The and a", "and", 0.0),
        ("", "x", 0.0),
        ("2,023", "2023", 1.0),
        ("running", "runs", 1.0),
        ("在北京", "北京", 0.8),
        ("dog dog", "dog", pytest.approx(2 / 3)),
    ],
)
def test_token_f1(prediction, gold, value):
    assert f1_token(prediction, gold) == pytest.approx(value)


def test_parts_of_a_list_are_compared_one_by_one():
    assert f1_token("a cat, two dogs", "dogs, cat", listed=True) == pytest.approx((2 / 3 + 1) / 2)
    whole, listed = (
        scored("two dogs", kind, "dogs, cat")["f1_token"] for kind in ("x", "multi_hop")
    )
    assert (whole, listed) == (0.5, pytest.approx((2 / 3 + 0) / 2))
