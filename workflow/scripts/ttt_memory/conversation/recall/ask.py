"""Ask a run under a condition or sweep, batched over dialogues and probes."""

import math
import random
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch

from ...benchmark import Probe, Sample
from ...errors import UserError
from ...fast_weights import FastState, FastWeights
from ...fast_weights.base_model import positions
from ...vocabulary import ALTERNATIVES, CACHED, IN_CONTEXT, SWEPT
from ..config.asking import RecallConfig
from ..prompts.prompter import Prompter, prompt_hash
from .alternatives import METHODS
from .answers import Answer, prefill
from .batch_sizes import BatchSizes
from .episodes import Episode, EpisodeMaker
from .kept import Costs, Engine, Kept
from .progress import Progress


class Recall:
    """Asks one trained run about benchmark samples, one condition or sweep at a time."""

    def __init__(
        self, fw: FastWeights, prompter: Prompter, samples: list[Sample], config: RecallConfig
    ):
        self.fw, self.prompter, self.samples, self.config = fw, prompter, samples, config
        self.maker = EpisodeMaker(prompter, samples, config)
        self.engine = Engine(fw, prompter, config)
        self._sizes = BatchSizes(fw, config)
        # What some conditions read in place of the state that was written.
        self._changed: dict[str, Callable[[FastState, Episode], FastState]] = {
            "N": lambda row, episode: row.noise_like(self._generator(episode.asked[0][1])),
            "scale": lambda row, episode: row.scale(episode.setting),
        }

    def run(
        self,
        condition: str,
        shard: tuple[int, int] = (0, 1),
        progress: Progress | None = None,
    ) -> list[dict]:
        """Rows of schemas.PREDICTIONS (without run and seed) of every `shard[1]`-th episode.

        Episodes that are done in `progress` are not asked again. A sweep goes on where a text is
        too long for the base model's positions: at that setting and distance nothing is asked, and
        the rows say so.

        Raises:
            UserError: a text of a condition, or a segment or question, is longer than that.
        """
        index, count = shard
        every = self.maker.episodes(condition)
        tokens = self._too_long(every, condition)
        progress = progress or Progress()
        episodes = [episode for i, episode in enumerate(every) if i % count == index]
        unasked = [
            {"condition": condition, "too_long": tokens[_place(episode)], **row}
            for episode in episodes
            if _place(episode) in tokens
            for row in _unasked(episode)
        ]
        episodes = [episode for episode in episodes if _place(episode) not in tokens]
        number = {id(episode): place for place, episode in enumerate(episodes)}
        left = [episode for episode in episodes if number[id(episode)] not in progress.done]
        # Of one distance at once: the times of a batch are those of its rows.
        for distance in dict.fromkeys(episode.distance for episode in left):
            chosen = [episode for episode in left if episode.distance == distance]
            for batch in self._sizes.batches(chosen, condition in CACHED):
                rows = self._sizes.ask(batch, lambda part: self._ask(part, condition))
                progress.add([number[id(e)] for e in batch], rows, of=len(episodes))
        return sorted(unasked + progress.rows, key=_order)

    def _too_long(self, episodes: list[Episode], condition: str) -> dict[tuple[str, int], int]:
        """What does not fit the base model's positions: the places of a sweep, with their tokens.

        Anything else that does not fit is refused, before any work.
        """
        longest = positions(self.fw.model)
        episodes = [episode for episode in episodes if episode.asked]
        if longest is None or not episodes:
            return {}
        whole, places = condition in CACHED, {}
        questions = {self._rendered(s, p) for episode in episodes for _, s, p in episode.asked}
        asked = max(map(len, self.prompter.ids(sorted(questions)))) + self.config.max_new_tokens
        for episode in episodes:
            segment = min(self.config.segment_tokens, episode.tokens)
            found = episode.tokens + asked if whole else max(segment, asked)
            found += len(self.prompter.opening)
            if found > longest and whole and condition in SWEPT:
                place = _place(episode)
                places[place] = max(found, places.get(place, 0))
            elif found > longest:
                what = (
                    "dialogue, question and answer have" if whole else "a segment or question has"
                )
                raise UserError(
                    f"condition {condition}, sample {episode.asked[0][1].sample_id}: {what} {found}"
                    f" tokens (recall.segment_tokens, recall.max_new_tokens), "
                    f"expected at most {longest}, the positions of the base model"
                )
        return places

    def _rendered(self, sample: Sample, probe: Probe) -> str:
        return self.prompter.question(probe.question, sample.language)

    def _ask(self, batch: list[Episode], condition: str) -> list[dict]:
        rendered = [
            [self._rendered(sample, probe) for _, sample, probe in episode.asked]
            for episode in batch
        ]
        questions = [self.prompter.ids(texts) for texts in rendered]
        probes = sum(map(len, questions))
        rows = []
        for kept in self._keep(batch, condition):
            started = time.perf_counter()
            answers = kept.answer(questions)
            seconds = (time.perf_counter() - started) / probes
            for b, episode in enumerate(batch):
                found = self._rows(episode, kept, b, rendered[b], questions[b], answers[b])
                times = {"write_seconds": kept.seconds / len(batch), "answer_seconds": seconds}
                rows += [{"condition": condition, **row, **times} for row in found]
        return rows

    def _keep(self, batch: list[Episode], condition: str) -> Iterator[Kept]:
        """What `condition` keeps of the texts: once, or an alternative at each of its settings."""
        if condition in ALTERNATIVES:
            yield from METHODS[condition](self.engine, batch)
        elif condition in IN_CONTEXT:
            yield self._in_context(batch)
        elif any(episode.texts for episode in batch):
            yield self._fast_weights(batch, condition)
        else:
            yield Kept(self.engine.answer, [Costs() for _ in batch], 0.0)

    def _in_context(self, batch: list[Episode]) -> Kept:
        started = time.perf_counter()
        contexts = [episode.ids for episode in batch]
        context = prefill(self.fw.plain, self.prompter, contexts, self.fw.model.device)
        seconds = time.perf_counter() - started
        costs = [
            Costs(
                self.engine.decoder.cache_bytes(episode.tokens),
                self.engine.prefill_flops(episode.tokens),
                episode.tokens,
            )
            for episode in batch
        ]
        answer = partial(self.engine.answer, contexts=context)
        return Kept(answer, costs, seconds, visible=True)

    def _fast_weights(self, batch: list[Episode], condition: str) -> Kept:
        started = time.perf_counter()
        rows = self.engine.write(batch)
        costs = [self.engine.written(*pair) for pair in zip(batch, rows, strict=True)]
        if condition in self._changed:
            change = self._changed[condition]
            rows = [change(*pair) for pair in zip(rows, batch, strict=True)]
        state = rows[0].concat(rows[1:])
        seconds = time.perf_counter() - started
        return Kept(partial(self.engine.answer, state=state), costs, seconds)

    def _generator(self, sample: Sample) -> torch.Generator:
        seed = random.Random(f"{self.config.seed}/{sample.sample_id}").getrandbits(62)
        return torch.Generator().manual_seed(seed)

    def _rows(
        self,
        episode: Episode,
        kept: Kept,
        place: int,
        rendered: list[str],
        questions: list[list[int]],
        answers: list[Answer],
    ) -> list[dict]:
        """Rows without condition and times; `place` is that of the episode in its batch."""
        decode, opening = self.prompter.tokenizer.decode, len(self.prompter.opening)
        text, costs, decoder = decode(episode.ids), kept.costs[place], self.engine.decoder
        again = kept.again[place] if kept.again else [[] for _ in questions]
        shown = episode.tokens if kept.visible else 0
        kv_bytes = decoder.cache_bytes(episode.tokens)
        rows = []
        for (order, sample, probe), question, ids, more, said in zip(
            episode.asked, rendered, questions, again, answers, strict=True
        ):
            prompt = self.prompter.template.opening + (text if kept.visible else decode(more))
            prompt += question
            rows.append(
                {
                    "setting": episode.setting if kept.setting is None else kept.setting,
                    "distance": episode.distance,
                    "order": order,
                    "sample_id": sample.sample_id,
                    "probe_id": probe.probe_id,
                    "prediction": said.text,
                    "too_long": 0,
                    "ended": said.ended,
                    "prompt": prompt,
                    "prompt_hash": prompt_hash(prompt),
                    "prompt_tokens": opening + shown + len(more) + len(ids),
                    "written": "" if kept.visible else text,
                    "written_tokens": 0 if kept.visible else episode.tokens,
                    "new_tokens": said.new_tokens,
                    "state_bytes": costs.state_bytes,
                    "text_bytes": len(text.encode()),
                    "kv_bytes": kv_bytes,
                    "kv_bytes_of_layers": kv_bytes * len(self.fw.config.layers) // decoder.layers,
                    "write_flops": costs.write_flops,
                    "answer_flops": self.engine.answer_flops(
                        costs, len(more), len(ids), said.new_tokens
                    ),
                }
            )
        return rows


def _unasked(episode: Episode) -> list[dict]:
    """What is known of the probes of an episode that is not asked."""
    return [
        {
            "setting": episode.setting,
            "distance": episode.distance,
            "order": order,
            "sample_id": sample.sample_id,
            "probe_id": probe.probe_id,
            "prediction": "",
        }
        for order, sample, probe in episode.asked
    ]


def _order(row: dict) -> tuple:
    """What rows are sorted by. NaN has no order, and stands where there is one setting alone."""
    setting = 0.0 if math.isnan(row["setting"]) else row["setting"]
    return row["distance"], setting, row["sample_id"], row["probe_id"]


def _place(episode: Episode) -> tuple[str, int]:
    """Setting and distance of an episode; as text, since NaN is not itself."""
    return str(episode.setting), episode.distance
