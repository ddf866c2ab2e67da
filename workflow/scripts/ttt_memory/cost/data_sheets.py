"""Known models and devices: shapes, and what data sheets promise."""

from dataclasses import replace

from .model import Decoder
from .roofline import Ceilings

QWEN3_8B = Decoder(4096, 12288, 36, 32, 8, 128, 151936, False, "bfloat16")
SHAPES = {"qwen3-8b": QWEN3_8B, "qwen3-8b-float32": replace(QWEN3_8B, dtype="float32")}

TERA = 1e12
# Data sheets, dense: FLOP/s of products by dtype and memory bytes/s; and the memory, GiB.
# PyTorch multiplies float32 without TF32 unless it is told to.
DEVICES = {
    "a100-40gb": (
        Ceilings(
            {"bfloat16": 312 * TERA, "float32": 19.5 * TERA, "tf32": 156 * TERA}, 1.555 * TERA
        ),
        40,
    ),
    "a100-80gb": (
        Ceilings(
            {"bfloat16": 312 * TERA, "float32": 19.5 * TERA, "tf32": 156 * TERA}, 2.039 * TERA
        ),
        80,
    ),
    "h100-80gb": (
        Ceilings({"bfloat16": 989 * TERA, "float32": 67 * TERA, "tf32": 494 * TERA}, 3.35 * TERA),
        80,
    ),
    "h200-141gb": (
        Ceilings({"bfloat16": 989 * TERA, "float32": 67 * TERA, "tf32": 494 * TERA}, 4.8 * TERA),
        141,
    ),
}
