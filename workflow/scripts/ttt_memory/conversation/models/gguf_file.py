"""A GGUF file as a model in Hub format: dequantised by the reader of transformers, and saved."""

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.integrations.gguf.reader import GgufHeader, read_gguf_metadata

from ...errors import UserError
from ..config.base_model import Dtype

MAGIC, SUFFIX = b"GGUF", ".gguf"
# What a file says of its model, under these keys of its metadata.
FACTS = {
    "model": "general.name",
    "organization": "general.organization",
    "license": "general.license",
    "architecture": "general.architecture",
}


def convert(file: str | Path, folder: str | Path, dtype: Dtype = "float32") -> dict[str, Any]:
    """Save the model and the tokenizer of a GGUF file into `folder`, in Hub format.

    The weights are dequantised and rounded to `dtype`. A chat template in the file is saved with
    the tokenizer. The same file gives the same bytes.

    Returns:
        What the file says of its model: name, organization, license, architecture; None for what
        it does not say.

    Raises:
        UserError: `file` is not a whole GGUF file, or transformers cannot read its model.
    """
    file = Path(file)
    facts = _checked(file)
    where = {"gguf_file": file.name, "local_files_only": True, "trust_remote_code": False}
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            file.parent,
            dtype=getattr(torch, dtype),
            # Without this, weights may stay in their blocks, and the model could not be saved.
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
            **where,
        )
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **where)
    except Exception as error:  # the reader has no error of its own: a bad file may raise any
        raise UserError(
            f"{file}: transformers {transformers.__version__} cannot read this"
            f" {facts['architecture']} model ({type(error).__name__}: {error})"
        ) from error
    if missing := sorted(report["missing_keys"]):  # transformers would fill them at random
        raise UserError(f"{file}: its weights lack {missing[0]} (of {len(missing)} in all)")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return facts


def _checked(file: Path) -> dict[str, Any]:
    """What the file says of its model, after a check that the file is whole."""
    if not file.is_file():
        raise UserError(f"{file}: no such file, expected a GGUF file")
    with open(file, "rb") as source:
        begins = source.read(len(MAGIC))
    # transformers takes a file without this suffix for another format.
    if begins != MAGIC or file.suffix != SUFFIX:
        raise UserError(
            f"{file}: found a file that begins with {begins!r}, expected a GGUF file: a name that"
            f" ends in {SUFFIX}, and {MAGIC!r} at the beginning"
        )
    try:
        metadata, _ = read_gguf_metadata(str(file))
    except Exception as error:  # a damaged header may lead anywhere
        raise UserError(f"{file}: its GGUF header is not readable ({error})") from error
    found, expected = file.stat().st_size, _size(file)
    padding = metadata.get("general.alignment", 32) - 1
    if expected is not None and not expected <= found <= expected + padding:
        raise UserError(
            f"{file}: found {found} bytes, expected {expected} by its header;"
            " it is cut off, or a part of a file in several parts"
        )
    return {name: metadata.get(key) for name, key in FACTS.items()}


def _size(file: Path) -> int | None:
    """The bytes of the file up to its last tensor, by its header.

    None if it has blocks whose size this part of transformers does not know, such as Q5_0. Then the
    reader itself refuses a file that is cut off, with a message that says less.
    """
    try:
        header = GgufHeader.from_file(str(file))
    except ValueError:
        return None
    if not header.tensors:
        raise UserError(f"{file}: holds no tensors; expected a model, not a vocabulary alone")
    return header.data_start + max(tensor.offset + tensor.nbytes for tensor in header.tensors)
