"""Question a run under every condition and sweep, batched over dialogues and probes.

A  dialogue in context, memory off          W  another dialogue's fast weights
B  fast weights only                        N  noise of the state's rank and norm
C  nothing                                  D  fast weights after the sample's distractor
scale      B with the state multiplied by alpha
retention  B after n tokens of held-out distractor text
capacity   B with k dialogues written into one state (capacity_context: all k in context)
"""

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch

from ..benchmark import Probe, Sample, distractors
from ..errors import UserError
from ..fast_weights import FastState, FastWeights
from .ask import Answer, answer
from .config import RecallConfig
from .packing import pad_right
from .prompts import Prompter, prompt_hash

NAN = float("nan")


@dataclass
class Job:
    """One state (or context) and the probes asked of it.

    Attributes:
        asked: probes with their sample and its place among those written.
        texts: what is read, in order; each is a document of its own.
        setting: alpha, tokens or dialogues of a sweep; NaN otherwise.
    """

    asked: list[tuple[int, Sample, Probe]]
    texts: list[list[int]]
    setting: float = NAN

    @classmethod
    def about(cls, samples: list[Sample], texts: list[list[int]], setting: float = NAN) -> Self:
        """Ask every question of `samples` that only one of them answers.

        "When is it due?" has as many answers as there are dialogues in the state.
        """
        asked = [(i, sample, probe) for i, sample in enumerate(samples) for probe in sample.probes]
        counts = Counter(probe.question for _, _, probe in asked)
        return cls([entry for entry in asked if counts[entry[2].question] == 1], texts, setting)

    @property
    def tokens(self) -> int:
        """Tokens read before the probes."""
        return sum(map(len, self.texts))


class Recall:
    """Runs one condition or sweep of one trained run over benchmark samples."""

    def __init__(
        self, fw: FastWeights, prompter: Prompter, samples: list[Sample], config: RecallConfig
    ):
        self.fw, self.prompter, self.samples, self.config = fw, prompter, samples, config
        self._dialogues = {
            sample.sample_id: ids
            for sample, ids in zip(
                samples, prompter.ids([s.dialogue for s in samples]), strict=True
            )
        }

    def run(self, condition: str, shard: tuple[int, int] = (0, 1)) -> list[dict]:
        """Rows of schemas.PREDICTIONS (without run and seed) for every `shard[1]`-th job."""
        index, count = shard
        jobs = [job for i, job in enumerate(self.jobs(condition)) if i % count == index]
        rows = []
        for batch in self._batches(jobs, condition):
            rows += self._ask(batch, condition)
        return sorted(rows, key=lambda row: (row["setting"], row["sample_id"], row["probe_id"]))

    def jobs(self, condition: str) -> list[Job]:
        """Every state to write under a condition, in benchmark order."""
        if condition in ("A", "B", "C", "N", "W"):
            return self._plain_jobs(condition)
        if condition == "D":
            return [
                Job.about([s], [self._dialogues[s.sample_id], *self.prompter.ids([s.distractor])])
                for s in self.samples
                if s.distractor
            ]
        if condition == "scale":
            chosen = self._sweep_samples()
            return [
                Job.about([s], [self._dialogues[s.sample_id]], a)
                for a in self.config.scales
                for s in chosen
            ]
        if condition == "retention":
            chosen = self._sweep_samples()
            return [self._distant(s, n) for n in self.config.distances for s in chosen]
        if condition in ("capacity", "capacity_context"):
            return self._capacity_jobs()
        raise UserError(f"condition {condition!r} is not known")

    def _plain_jobs(self, condition: str) -> list[Job]:
        jobs = []
        for i, sample in enumerate(self.samples):
            source = self._donor(i) if condition == "W" else sample
            texts = [] if condition == "C" else [self._dialogues[source.sample_id]]
            # What D has read before it is asked, A has in its context.
            if condition == "A" and sample.distractor:
                texts += self.prompter.ids([sample.distractor])
            jobs.append(Job.about([sample], texts))
        return jobs

    def _donor(self, place: int) -> Sample:
        """The next sample of the same language and level, cyclically: never the sample itself."""
        own = self.samples[place]
        order = self.samples[place + 1 :] + self.samples[:place]
        for other in order:
            if (other.language, other.level) == (own.language, own.level):
                return other
        raise UserError(
            f"sample {own.sample_id}: condition W needs two samples of its language and level"
        )

    def _sweep_samples(self) -> list[Sample]:
        chosen = [s for s in self.samples if s.level == 1 and s.split == self.config.sweep_split]
        if not chosen:
            raise UserError(
                f"recall.sweep_split: no level-1 sample of split {self.config.sweep_split!r}"
            )
        return chosen[: self.config.sweep_samples]

    def _distant(self, sample: Sample, tokens: int) -> Job:
        texts = [self._dialogues[sample.sample_id]]
        if tokens:
            rng = random.Random(f"{self.config.seed}/{sample.sample_id}")
            # Ask for twice the length: the proxy count is not this model's tokens.
            text = distractors.text(rng, sample.language, 2 * max(self.config.distances), "heldout")
            ids = self.prompter.ids([text])[0]
            if len(ids) < tokens:
                raise UserError(f"recall.distances: {tokens} tokens asked, the text has {len(ids)}")
            texts.append(ids[:tokens])
        return Job.about([sample], texts, tokens)

    def _capacity_jobs(self) -> list[Job]:
        jobs = []
        for count in self.config.dialogues:
            for language in dict.fromkeys(s.language for s in self.samples):
                chosen = [s for s in self._sweep_samples() if s.language == language]
                # Neighbours in a group come from far apart, so that skeletons differ.
                groups = len(chosen) // count
                for g in range(groups):
                    group = chosen[g : groups * count : groups]
                    jobs.append(
                        Job.about(group, [self._dialogues[s.sample_id] for s in group], count)
                    )
        return jobs

    def _batches(self, jobs: list[Job], condition: str) -> Iterator[list[Job]]:
        """Jobs of similar length together, within the limits on dialogues and probes."""
        batch: list[Job] = []
        long_context = condition in ("A", "capacity_context")
        for job in sorted(jobs, key=lambda job: (job.tokens, len(job.asked))):
            width = max(len(other.asked) for other in [*batch, job])
            rows = self.config.rows
            if long_context:  # every dialogue's KV cache is held until its probes are answered
                rows = max(1, min(rows, self.config.context_tokens // max(1, job.tokens)))
            full = len(batch) >= rows or width * (len(batch) + 1) > self.config.probe_rows
            if batch and full:
                yield batch
                batch = []
            batch.append(job)
        if batch:
            yield batch

    def _ask(self, batch: list[Job], condition: str) -> list[dict]:
        started = time.perf_counter()
        rendered = [
            [self.prompter.question(probe.question, s.language) for _, s, probe in job.asked]
            for job in batch
        ]
        questions = [self.prompter.ids(texts) for texts in rendered]
        contexts = state = None
        if condition in ("A", "capacity_context"):
            contexts = [[token for text in job.texts for token in text] for job in batch]
        elif condition != "C":
            state = self._state(batch, condition)
        answers = answer(
            self.fw, self.prompter, questions, contexts, state, self.config.max_new_tokens
        )
        seconds = (time.perf_counter() - started) / sum(len(job.asked) for job in batch)
        rows = []
        for b, job in enumerate(batch):
            rows += self._rows(job, condition, rendered[b], questions[b], answers[b], seconds)
        return rows

    def _state(self, batch: list[Job], condition: str) -> FastState:
        state = write_texts(
            self.fw, self.prompter, [j.texts for j in batch], self.config.segment_tokens
        )
        if condition == "N":
            rows = [
                state.index([b]).noise_like(self._generator(job.asked[0][1]))
                for b, job in enumerate(batch)
            ]
            state = rows[0].concat(rows[1:])
        if condition == "scale":
            rows = [state.index([b]).scale(job.setting) for b, job in enumerate(batch)]
            state = rows[0].concat(rows[1:])
        return state

    def _generator(self, sample: Sample) -> torch.Generator:
        seed = random.Random(f"{self.config.seed}/{sample.sample_id}").getrandbits(62)
        return torch.Generator().manual_seed(seed)

    def _rows(
        self,
        job: Job,
        condition: str,
        rendered: list[str],
        questions: list[list[int]],
        answers: list[Answer],
        seconds: float,
    ) -> list[dict]:
        in_context = condition in ("A", "capacity_context")
        context = (
            self.prompter.tokenizer.decode([t for text in job.texts for t in text])
            if in_context
            else ""
        )
        return [
            {
                "condition": condition,
                "setting": job.setting,
                "order": order,
                "sample_id": sample.sample_id,
                "probe_id": probe.probe_id,
                "prediction": said.text,
                "ended": said.ended,
                "prompt": context + text,
                "prompt_hash": prompt_hash(context + text),
                "prompt_tokens": len(ids) + (job.tokens if in_context else 0),
                "written_tokens": 0 if in_context else job.tokens,
                "new_tokens": said.new_tokens,
                "seconds": seconds,
            }
            for (order, sample, probe), text, ids, said in zip(
                job.asked, rendered, questions, answers, strict=True
            )
        ]


@torch.no_grad()
def write_texts(
    fw: FastWeights,
    prompter: Prompter,
    texts: list[list[list[int]]],
    segment_tokens: int,
    state: FastState | None = None,
) -> FastState:
    """Fast weights of B rows after each has read its texts in order, on top of `state` if given.

    The KV cache is dropped at the end of every text and after `segment_tokens` tokens of it;
    only the fast weights carry anything on.
    """
    segments = [
        [text[i : i + segment_tokens] for text in row for i in range(0, len(text), segment_tokens)]
        for row in texts
    ]
    for step in range(max(map(len, segments))):
        # A row that is through still takes part, with one token that is not written.
        present = [row[step] if step < len(row) else [] for row in segments]
        ids, mask = pad_right([ids or [prompter.end] for ids in present], prompter.pad)
        written = mask.bool() & torch.tensor([[bool(row)] for row in present])
        state = fw.write(
            input_ids=ids.to(fw.model.device),
            attention_mask=mask.to(fw.model.device),
            write_mask=written.to(fw.model.device),
            state=state,
        ).state
    return state.fold()
