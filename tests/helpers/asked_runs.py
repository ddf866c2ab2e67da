"""Small runs asked under a condition."""

from conversation_models import fast_weights, prompter, samples
from ttt_memory.conversation.config.asking import RecallConfig
from ttt_memory.conversation.recall.ask import Recall

CONFIG = RecallConfig(
    sweep_split="train",
    sweep_samples=6,
    distances=(0, 50),
    dialogues=(1, 2),
    scales=(0.5, 1.0),
    max_new_tokens=6,
    device="cpu",
)


def recall(fw=None, count=8, **changes):
    chosen = [s for s in samples() if s.language == "en"][:count]
    config = CONFIG.model_copy(update=changes)
    return Recall(fw or fast_weights(lr=3.0), prompter(), chosen, config)


def said(rows):
    return {(r["setting"], r["sample_id"], r["probe_id"]): r["prediction"] for r in rows}
