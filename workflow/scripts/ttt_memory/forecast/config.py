"""prototype"""
from pydantic import Field
from ..options import Options
class MemoryConfig(Options):
    hidden: int = 32
    depth: int = 2
    association: str = "next"
    inner_clip: float = 1.0
class ModelConfig(Options):
    context_window: int = 16
    width: int = 16
    heads: int = 2
    layers: int = 2
    ffn: int = 64
    persistent: int = 4
    skip: bool = True
    norm: bool = True
    memory: MemoryConfig = MemoryConfig()
