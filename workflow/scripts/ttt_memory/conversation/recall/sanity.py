"""Checks that a trained run must pass before it is asked, so that a broken one is never scored."""

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ...benchmark import Sample
from ...errors import UserError
from ...fast_weights import FastState, FastWeights, inject
from ..models.requirements import check_model, tolerance
from ..prompts.packing import pad_right
from ..prompts.prompter import Prompter
from .write_dialogues import write_texts


class Sanity:
    """Runs every check on a few dialogues; `results` maps a check's name to (passed, detail)."""

    def __init__(
        self,
        fw: FastWeights,
        load_base: Callable[[], PreTrainedModel],
        prompter: Prompter,
        samples: list[Sample],
        segment: int,
        fresh_memory: bool = False,
    ):
        self.fw, self.load_base, self.prompter, self.segment = fw, load_base, prompter, segment
        self.fresh_memory = fresh_memory
        self.dialogues = [[prompter.sessions(sample)[0]] for sample in samples]
        # The longest first: later it is written alone, and the shorter ones beside it are padded.
        self.dialogues.sort(key=lambda texts: -len(texts[0]))
        first = samples[0]
        question = prompter.question(first.probes[0].question, first.language)
        ids = prompter.opening + prompter.ids([question])[0]
        self.question = torch.tensor([ids], device=fw.model.device)

    @torch.no_grad()
    def run(self) -> dict[str, dict]:
        """Every check by name: {"passed": bool, "detail": str}."""
        self.state = self._write(self.dialogues[:1])
        checks = (
            self.memory_changes_outputs,
            self.parameters_moved,
            self.writing_is_reproducible,
            self.writing_depends_on_input,
            self.stripped_cache_works,
            self.disabled_is_base,
            self.padding_writes_nothing,
            self.batch_equals_singles,
            self.packed_equals_alone,
        )
        results = {}
        for check in checks:
            passed, detail = check()
            results[check.__name__] = {"passed": bool(passed), "detail": detail}
        return results

    def _write(self, texts: list[list[list[int]]]) -> FastState:
        return write_texts(self.fw, self.prompter, texts, self.segment)

    def _read(self, state: FastState | None) -> Tensor:
        if state is None:
            return self.fw.plain(input_ids=self.question).logits
        return self.fw.read(state, input_ids=self.question).logits

    def memory_changes_outputs(self) -> tuple[bool, str]:
        """A probe's logits differ with and without the state."""
        change = (self._read(self.state) - self._read(None)).abs().max().item()
        return change > 0, f"largest change of a logit {change:.3g}"

    def parameters_moved(self) -> tuple[bool, str]:
        """Training moved every fast-weight tensor, or none if it leaves the memory as it was."""
        base = self.load_base()
        torch.manual_seed(0)
        fresh = dict(inject(base, self.fw.config).fast.named_parameters())
        moved = {
            name: (parameter.cpu() - fresh[name]).abs().max().item()
            for name, parameter in self.fw.fast.named_parameters()
        }
        still = [name for name, change in moved.items() if change == 0]
        passed = len(still) == len(moved) if self.fresh_memory else not still
        return passed, f"{len(moved)} tensors, unmoved: {still or 'none'}"

    def writing_is_reproducible(self) -> tuple[bool, str]:
        """Writing the same dialogue twice gives the same logits, bit for bit."""
        change = (self._read(self.state) - self._read(self._write(self.dialogues[:1]))).abs().max()
        return change == 0, f"largest change of a logit {change.item():.3g}"

    def writing_depends_on_input(self) -> tuple[bool, str]:
        """Another dialogue gives another state."""
        other = self._read(self._write(self.dialogues[1:2]))
        change = (self._read(self.state) - other).abs().max().item()
        return change > 0, f"largest change of a logit {change:.3g}"

    def stripped_cache_works(self) -> tuple[bool, str]:
        """A probe gets finite logits without the dialogue's KV cache."""
        logits = self._read(self.state)
        return torch.isfinite(logits).all(), f"logits within {logits.abs().max().item():.3g}"

    def disabled_is_base(self) -> tuple[bool, str]:
        """Without fast weights the model gives the logits of its base, bit for bit."""
        expected_logits = self._read(None)
        base = self.load_base().to(self.fw.model.device)
        change = (base(input_ids=self.question).logits - expected_logits).abs().max().item()
        return change == 0, f"largest change of a logit {change:.3g}"

    def padding_writes_nothing(self) -> tuple[bool, str]:
        """Padding a row on the right does not change what its state gives."""
        ids, mask = pad_right([self.dialogues[0][0][: self.segment]], self.prompter.pad)
        wide = torch.nn.functional.pad(ids, (0, 17), value=self.prompter.pad)
        wide_mask = torch.nn.functional.pad(mask, (0, 17))
        device = self.fw.model.device
        padded = self.fw.write(input_ids=wide.to(device), attention_mask=wide_mask.to(device)).state
        single = self.fw.write(input_ids=ids.to(device), attention_mask=mask.to(device)).state
        expected = self._read(single)
        change = (self._read(padded) - expected).abs().max().item()
        limit = tolerance(self.fw.model, expected)
        return change <= limit, f"largest change of a logit {change:.3g}"

    def batch_equals_singles(self) -> tuple[bool, str]:
        """A batch of dialogues writes for each what it writes alone."""
        together = self._write(self.dialogues)
        changes = [
            (self._read(together.index([i])) - self._read(self._write([texts]))).abs().max().item()
            for i, texts in enumerate(self.dialogues)
        ]
        limit = tolerance(self.fw.model, self._read(self.state))
        return max(changes) <= limit, f"largest change of a logit {max(changes):.3g}"

    def packed_equals_alone(self) -> tuple[bool, str]:
        """In the trained model, probes packed in one row still do not see each other."""
        try:
            check_model(self.fw.model)
        except UserError as error:
            return False, str(error)
        return True, "logits agree"
