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
from dataclasses import dataclass
from typing import Self

import torch

from ...benchmark import Probe, Sample, distractors
from ...errors import UserError
from ...fast_weights import FastState, FastWeights
from ...fast_weights.base_model import positions
from ..config.asking import RecallConfig
from ..prompts.prompter import Prompter, prompt_hash
from .answers import Answer, answer
from .batches import Room
from .write_dialogues import write_texts

NAN = float("nan")
IN_CONTEXT = ("A", "capacity_context")  # what is read is there when a probe is asked


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
        self._room = Room(fw, config)
        self._dialogues = {
            sample.sample_id: ids
            for sample, ids in zip(
                samples,
                prompter.texts([s.dialogue for s in samples], [s.language for s in samples]),
                strict=True,
            )
        }

    def run(self, condition: str, shard: tuple[int, int] = (0, 1)) -> list[dict]:
        """Rows of schemas.PREDICTIONS (without run and seed) for every `shard[1]`-th job."""
        index, count = shard
        jobs = [job for i, job in enumerate(self.jobs(condition)) if i % count == index]
        self._check_positions(jobs, condition)
        rows = []
        for batch in self._room.batches(jobs, condition in IN_CONTEXT):
            rows += self._room.ask(batch, lambda part: self._ask(part, condition))
        return sorted(rows, key=lambda row: (row["setting"], row["sample_id"], row["probe_id"]))

    def jobs(self, condition: str) -> list[Job]:
        """Every state to write under a condition, in benchmark order."""
        if condition in ("A", "B", "C", "N", "W"):
            return self._plain_jobs(condition)
        if condition == "D":
            return [
                Job.about([s], [self._dialogues[s.sample_id], self._distractor(s)])
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
                texts.append(self._distractor(sample))
            jobs.append(Job.about([sample], texts))
        return jobs

    def _distractor(self, sample: Sample) -> list[int]:
        return self.prompter.texts([sample.distractor], [sample.language])[0]

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
            texts.append(self.prompter.around(ids[:tokens], sample.language))
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

    def _check_positions(self, jobs: list[Job], condition: str) -> None:
        """Refuse, before any work, what is longer than the base model's positions."""
        longest = positions(self.fw.model)
        jobs = [job for job in jobs if job.asked]
        if longest is None or not jobs:
            return
        questions = {self._rendered(s, p) for job in jobs for _, s, p in job.asked}
        asked = max(map(len, self.prompter.ids(sorted(questions)))) + self.config.max_new_tokens
        for job in jobs:
            whole = condition in IN_CONTEXT
            read = min(self.config.segment_tokens, job.tokens)
            found = job.tokens + asked if whole else max(read, asked)
            found += len(self.prompter.opening)
            if found > longest:
                what = (
                    "dialogue, question and answer have" if whole else "a segment or question has"
                )
                raise UserError(
                    f"condition {condition}, sample {job.asked[0][1].sample_id}: {what} {found} "
                    f"tokens (recall.segment_tokens, recall.max_new_tokens), "
                    f"expected at most {longest}, the positions of the base model"
                )

    def _rendered(self, sample: Sample, probe: Probe) -> str:
        return self.prompter.question(probe.question, sample.language)

    def _ask(self, batch: list[Job], condition: str) -> list[dict]:
        started = time.perf_counter()
        rendered = [
            [self._rendered(sample, probe) for _, sample, probe in job.asked] for job in batch
        ]
        questions = [self.prompter.ids(texts) for texts in rendered]
        contexts = state = None
        if condition in IN_CONTEXT:
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
        texts = [job.texts for job in batch]
        state = write_texts(self.fw, self.prompter, texts, self.config.segment_tokens).solve()
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
        in_context = condition in IN_CONTEXT
        read = self.prompter.tokenizer.decode([t for text in job.texts for t in text])
        before = self.prompter.template.opening + (read if in_context else "")
        return [
            {
                "condition": condition,
                "setting": job.setting,
                "order": order,
                "sample_id": sample.sample_id,
                "probe_id": probe.probe_id,
                "prediction": said.text,
                "ended": said.ended,
                "prompt": before + text,
                "prompt_hash": prompt_hash(before + text),
                "prompt_tokens": len(self.prompter.opening)
                + len(ids)
                + (job.tokens if in_context else 0),
                "written": "" if in_context else read,
                "written_tokens": 0 if in_context else job.tokens,
                "new_tokens": said.new_tokens,
                "seconds": seconds,
            }
            for (order, sample, probe), text, ids, said in zip(
                job.asked, rendered, questions, answers, strict=True
            )
        ]
