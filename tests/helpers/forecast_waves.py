"""Made-up forecasts of a dataset "waves", with known errors."""

import numpy as np

SERIES, STEPS = 12, 5


def forecasts(
    strategy: str,
    seed: int,
    scale: float,
    kind: str = "strategy",
    protocol: str = "strict",
    separate: bool = True,
    horizon: int = 1,
) -> list[dict]:
    """Rows of the schema FORECASTS; forecasts of series s are off by scale * (1 + s / SERIES)."""
    rng = np.random.default_rng(seed)
    rows = []
    for series in range(SERIES):
        truth = rng.normal(size=STEPS).astype(np.float32)
        miss = scale * (1 + series / SERIES)
        rows.append(
            {
                "dataset": "waves",
                "horizon": horizon,
                "strategy": strategy,
                "kind": kind,
                "protocol": protocol,
                "seed": seed,
                "series": series,
                "first": 15 + horizon,
                "forecast": truth + np.float32(miss),
                "truth": truth,
                "scored": np.ones(STEPS, bool),
                "mse": miss**2,
                "mae": miss,
                "unit": 2.0,
                "parameters": 10,
                "separate": separate,
            }
        )
    return rows


def epochs(strategy: str, seed: int) -> list[dict]:
    """Two rows of the schema EPOCHS; the second epoch is the best."""
    return [
        {
            "dataset": "waves",
            "strategy": strategy,
            "seed": seed,
            "epoch": epoch,
            "train_mse": 1.0,
            "valid_mse": 1.0,
            "learning_rate": 0.1,
            "gradient_norm": 1.0,
            "seconds": 2.0 + epoch,
            "best": epoch == 2,
        }
        for epoch in (1, 2)
    ]


# Scale of the errors with each seed.
SCALES = {
    "no_memory": (0.40, 0.42, 0.41),
    "titans_default": (0.30, 0.33, 0.36),
    "mesa": (0.20, 0.21, 0.19),
}
