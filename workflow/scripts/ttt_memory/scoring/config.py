"""Configuration of scoring: the bars of the verdict, and the resampling."""

from pydantic import Field, model_validator

from ..options import Options


class ScoringConfig(Options):
    """Bars of the verdict on the memory efficiency EM(B) / EM(A), and the resampling."""

    viable: float = Field(0.7, ge=0, le=1, description="Memory efficiency above this: viable.")
    partial: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Memory efficiency from this up to `viable`: partial. Below: not viable.",
    )
    bootstrap: int = Field(2000, ge=100, description="Bootstrap draws of an interval.")
    permutations: int = Field(9999, ge=99, description="Random sign flips of a paired test.")
    seed: int = Field(0, ge=0, description="Seed of both kinds of resampling.")

    @model_validator(mode="after")
    def _bars_in_order(self) -> "ScoringConfig":
        if self.partial > self.viable:
            raise ValueError(
                f"partial is {self.partial}, expected at most viable, which is {self.viable}"
            )
        return self
