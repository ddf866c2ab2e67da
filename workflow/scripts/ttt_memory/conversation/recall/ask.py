"""Ask a run under a condition or sweep, batched over dialogues and probes."""

import random
import time
from collections.abc import Callable

import torch

from ...benchmark import Probe, Sample
from ...errors import UserError
from ...fast_weights import FastState, FastWeights
from ...fast_weights.base_model import positions
from ...vocabulary import IN_CONTEXT
from ..config.asking import RecallConfig
from ..prompts.prompter import Prompter, prompt_hash
from .answers import Answer, answer
from .batch_sizes import BatchSizes
from .episodes import Episode, EpisodeMaker
from .write_dialogues import write_texts


class Recall:
    """Asks one trained run about benchmark samples, one condition or sweep at a time."""

    def __init__(
        self, fw: FastWeights, prompter: Prompter, samples: list[Sample], config: RecallConfig
    ):
        self.fw, self.prompter, self.samples, self.config = fw, prompter, samples, config
        self.maker = EpisodeMaker(prompter, samples, config)
        self._sizes = BatchSizes(fw, config)
        # What some conditions read in place of the state that was written.
        self._changed: dict[str, Callable[[FastState, Episode], FastState]] = {
            "N": lambda row, episode: row.noise_like(self._generator(episode.asked[0][1])),
            "scale": lambda row, episode: row.scale(episode.setting),
        }

    def run(self, condition: str, shard: tuple[int, int] = (0, 1)) -> list[dict]:
        """Rows of schemas.PREDICTIONS (without run and seed) of every `shard[1]`-th episode."""
        index, count = shard
        every = self.maker.episodes(condition)
        episodes = [episode for i, episode in enumerate(every) if i % count == index]
        self._check_positions(episodes, condition)
        rows = []
        for batch in self._sizes.batches(episodes, condition in IN_CONTEXT):
            rows += self._sizes.ask(batch, lambda part: self._ask(part, condition))
        return sorted(rows, key=lambda row: (row["setting"], row["sample_id"], row["probe_id"]))

    def _check_positions(self, episodes: list[Episode], condition: str) -> None:
        """Refuse, before any work, what does not fit the base model's positions."""
        longest = positions(self.fw.model)
        episodes = [episode for episode in episodes if episode.asked]
        if longest is None or not episodes:
            return
        questions = {self._rendered(s, p) for episode in episodes for _, s, p in episode.asked}
        asked = max(map(len, self.prompter.ids(sorted(questions)))) + self.config.max_new_tokens
        for episode in episodes:
            whole = condition in IN_CONTEXT
            segment = min(self.config.segment_tokens, episode.tokens)
            found = episode.tokens + asked if whole else max(segment, asked)
            found += len(self.prompter.opening)
            if found > longest:
                what = (
                    "dialogue, question and answer have" if whole else "a segment or question has"
                )
                raise UserError(
                    f"condition {condition}, sample {episode.asked[0][1].sample_id}: {what} {found}"
                    f" tokens (recall.segment_tokens, recall.max_new_tokens), "
                    f"expected at most {longest}, the positions of the base model"
                )

    def _rendered(self, sample: Sample, probe: Probe) -> str:
        return self.prompter.question(probe.question, sample.language)

    def _ask(self, batch: list[Episode], condition: str) -> list[dict]:
        started = time.perf_counter()
        rendered = [
            [self._rendered(sample, probe) for _, sample, probe in episode.asked]
            for episode in batch
        ]
        questions = [self.prompter.ids(texts) for texts in rendered]
        contexts = state = None
        if condition in IN_CONTEXT:
            contexts = [[token for text in episode.texts for token in text] for episode in batch]
        elif any(episode.texts for episode in batch):
            state = self._state(batch, condition)
        answers = answer(
            self.fw, self.prompter, questions, contexts, state, self.config.max_new_tokens
        )
        seconds = (time.perf_counter() - started) / sum(len(episode.asked) for episode in batch)
        rows = []
        for b, episode in enumerate(batch):
            rows += self._rows(episode, condition, rendered[b], questions[b], answers[b], seconds)
        return rows

    def _state(self, batch: list[Episode], condition: str) -> FastState:
        texts = [episode.texts for episode in batch]
        state = write_texts(self.fw, self.prompter, texts, self.config.segment_tokens)
        # From here on it is only read: keep nothing that only writing needs.
        state = state.readable()
        if condition not in self._changed:
            return state
        change = self._changed[condition]
        rows = [change(state.index([b]), episode) for b, episode in enumerate(batch)]
        return rows[0].concat(rows[1:])

    def _generator(self, sample: Sample) -> torch.Generator:
        seed = random.Random(f"{self.config.seed}/{sample.sample_id}").getrandbits(62)
        return torch.Generator().manual_seed(seed)

    def _rows(
        self,
        episode: Episode,
        condition: str,
        rendered: list[str],
        questions: list[list[int]],
        answers: list[Answer],
        seconds: float,
    ) -> list[dict]:
        in_context = condition in IN_CONTEXT
        text = self.prompter.tokenizer.decode([t for ids in episode.texts for t in ids])
        before = self.prompter.template.opening + (text if in_context else "")
        return [
            {
                "condition": condition,
                "setting": episode.setting,
                "order": order,
                "sample_id": sample.sample_id,
                "probe_id": probe.probe_id,
                "prediction": said.text,
                "ended": said.ended,
                "prompt": before + question,
                "prompt_hash": prompt_hash(before + question),
                "prompt_tokens": len(self.prompter.opening)
                + len(ids)
                + (episode.tokens if in_context else 0),
                "written": "" if in_context else text,
                "written_tokens": 0 if in_context else episode.tokens,
                "new_tokens": said.new_tokens,
                "seconds": seconds,
            }
            for (order, sample, probe), question, ids, said in zip(
                episode.asked, rendered, questions, answers, strict=True
            )
        ]
