"""What each edit is expected to rerun, written by hand: nothing here reads an import."""

from fnmatch import fnmatch
from pathlib import Path

# The pipeline of the README: what follows each rule at once.
FOLLOWS = {
    "make_benchmark": "sanity recall diagnose score report",
    "make_corpus": "train_base train",
    "train_base": "train sanity recall diagnose",
    "train": "sanity recall diagnose report",
    "sanity": "recall diagnose",
    "recall": "score",
    "diagnose": "report",
    "score": "compare report",
    "compare": "report",
    "import_benchmark": "score_imported",
    "score_imported": "report",
    "make_series": "forecast report",
    "forecast": "leaderboard report",
    "leaderboard": "report",
    "report": "provenance",
    "provenance": "all",
    "all": "",
}
RULES = list(FOLLOWS)
MAKERS = "make_benchmark make_corpus"
TRAINING = "train_base train"
ASKING = "sanity recall diagnose"
SCORING = "score score_imported"
# All rules of the first study but the report, which knows no dialogue and no model.
CONVERSATION = f"{MAKERS} {TRAINING} {ASKING} {SCORING} import_benchmark"
FORECAST = "make_series forecast leaderboard"
PACKED = " ".join(
    f"forecast:{name}"
    for name in (
        "adam_gated",
        "contrastive_ema",
        "muon",
        "omega",
        "titans_default",
        "titans_gates",
        "yaad",
    )
)
EVERY = f"{CONVERSATION} {FORECAST} compare report provenance"

# The rules whose own code a file is; the first pattern that fits counts.
OWN = {
    "scripts/score.py": SCORING,
    "scripts/record.py": "provenance",
    # Run by hand, or for models of the hub or of packages, which a revision or a digest pins.
    "scripts/check_presets.py": "",
    "scripts/check_forecasters.py": "",
    "scripts/check_reference.py": "",
    "scripts/recover.py": "",
    "scripts/tell_end.py": "",
    # What Snakemake shows of a run.
    "scripts/snakemake_logger_plugin_status/*": "",
    "scripts/export_schema.py": "",
    "scripts/fetch_model.py": "",
    "scripts/convert_model.py": "",
    "scripts/fetch_corpus.py": "",
    "scripts/take_trained.py": "",
    "scripts/publish.py": "",
    "scripts/cost.py": "",
    # The command that starts a training, which changes no result.
    "scripts/on_gpus.py": "",
    # No run of the made-up study keeps what the base says otherwise.
    "scripts/sample_base.py": "",
    "scripts/results_page.py": "",
    # A script is named after its rule.
    "scripts/*.py": "{stem}",
    "__init__.py": EVERY,
    "errors.py": EVERY,
    "io.py": EVERY,
    # Importing a published benchmark takes no configuration.
    "options.py": f"{MAKERS} {TRAINING} {ASKING} {SCORING} {FORECAST} compare report provenance",
    "vocabulary.py": f"{ASKING} {SCORING} compare report provenance",
    "study/__init__.py": EVERY,
    "study/provenance.py": EVERY,
    "study/devices.py": f"{TRAINING} {ASKING} forecast",
    # Read by Snakemake; of the jobs, only the record reads the configuration as a whole.
    "study/config/key_table.py": "",
    "study/config/*.py": "provenance",
    "study/run_record.py": "provenance",
    "study/*.py": "",
    # What a study would cost, and talking to a run: by hand.
    "cost/__init__.py": "recall",
    "cost/model.py": "recall",
    "cost/roofline.py": "recall",
    "cost/*.py": "",
    "chat/web/*": "",
    "chat/*": "",
    # All that reads or makes a dialogue depends on the package.
    "benchmark/__init__.py": CONVERSATION,
    "benchmark/sample.py": CONVERSATION,
    "benchmark/files.py": CONVERSATION,
    "benchmark/schemas.py": f"{CONVERSATION} report",
    "benchmark/config.py": MAKERS,
    "benchmark/card.py": "make_benchmark",
    "benchmark/forms.py": "make_benchmark",
    "benchmark/generate.py": "make_benchmark",
    # Before anything runs, the configuration looks at the layout of every file that it names.
    "benchmark/importers/*.py": f"{MAKERS} import_benchmark {SCORING} provenance",
    "benchmark/json_files.py": f"{MAKERS} import_benchmark {TRAINING} {SCORING} provenance",
    "benchmark/messages.py": f"{MAKERS} import_benchmark {TRAINING} {SCORING} provenance",
    "benchmark/own_texts.py": f"make_corpus {TRAINING} provenance",
    "benchmark/validity.py": "",
    "benchmark/distractors/*": f"{MAKERS} {ASKING}",
    "benchmark/corpus.py": "make_corpus",
    # Both use skeletons; only the corpus has synthetic dialogues.
    "benchmark/generator/composer.py": "make_corpus",
    "benchmark/generator/families.py": "make_corpus",
    "benchmark/generator/fragments.py": "make_corpus",
    "benchmark/generator/lessons.py": "make_corpus",
    "benchmark/generator/plan.py": "make_corpus",
    "benchmark/generator/*.py": MAKERS,
    # A package brings its data files.
    "benchmark/generator/data/*": MAKERS,
    "fast_weights/__init__.py": f"{TRAINING} {ASKING} provenance",
    "fast_weights/config.py": f"{TRAINING} {ASKING} provenance",
    # Oracles of tests, and the comparison with the publication.
    "fast_weights/naive.py": "",
    "fast_weights/reference.py": "",
    # What the chat shows of an answer.
    "fast_weights/contributions.py": "",
    "fast_weights/base_model.py": f"{TRAINING} {ASKING}",
    # Every configuration names an update rule; its file is an input of the runs that use it. The
    # only run of the made-up study uses least squares.
    "fast_weights/rules/__init__.py": f"{TRAINING} {ASKING} provenance",
    "fast_weights/rules/hebbian.py": "",
    "fast_weights/rules/delta.py": "",
    "fast_weights/rules/*.py": f"train {ASKING}",
    "fast_weights/sizes.py": "recall",
    "fast_weights/*.py": f"train {ASKING}",
    "conversation/config/asking.py": f"{ASKING} provenance",
    "conversation/config/*.py": f"{TRAINING} {ASKING} provenance",
    "conversation/schemas.py": f"{TRAINING} diagnose report",
    "conversation/train/base_texts.py": "",
    "conversation/train/batches.py": "train",
    "conversation/train/gate_fit.py": "train",
    "conversation/train/objective.py": "train",
    "conversation/train/train_run.py": "train",
    "conversation/train/*.py": TRAINING,
    "conversation/models/embedded.py": "train_base",
    "conversation/models/copying_init.py": "train_base",
    "conversation/models/gguf_file.py": "",
    "conversation/models/publication.py": "",
    # A model is checked before it is trained and before it is asked.
    "conversation/models/requirements.py": f"{TRAINING} sanity",
    "conversation/models/logits.py": f"{TRAINING} sanity",
    "conversation/models/trained_run.py": f"train {ASKING}",
    "conversation/models/lora.py": f"train {ASKING}",
    "conversation/models/*.py": f"{TRAINING} {ASKING}",
    "conversation/prompts/fact_places.py": "train diagnose",
    "conversation/prompts/*.py": f"{TRAINING} {ASKING}",
    "conversation/recall/naive.py": "",
    "conversation/recall/sanity.py": "sanity",
    "conversation/recall/diagnostics.py": "diagnose",
    "conversation/recall/write_dialogues.py": ASKING,
    "conversation/recall/__init__.py": ASKING,
    "conversation/recall/*.py": "recall",
    "conversation/recall/alternatives/*.py": "recall",
    "conversation/__init__.py": f"{TRAINING} {ASKING} provenance report",
    "scoring/__init__.py": f"recall {SCORING} compare leaderboard report",
    "scoring/schemas.py": f"recall {SCORING} compare report",
    "scoring/config.py": f"{SCORING} compare leaderboard report",
    "scoring/intervals.py": f"{SCORING} compare leaderboard report",
    "scoring/groups.py": f"{SCORING} compare",
    "scoring/comparisons.py": "compare",
    "scoring/verdict.py": "report",
    "scoring/*.py": SCORING,
    # A strategy or baseline is an input of its own jobs alone.
    "forecast/strategies/*.py": "forecast:{stem}",
    # The made-up study has no baseline of a library.
    "forecast/baselines/auto_arima.py": "",
    "forecast/baselines/nhits.py": "",
    "forecast/baselines/*.py": "forecast:{stem}",
    "forecast/__init__.py": f"{FORECAST} report",
    "forecast/config.py": f"{FORECAST} report",
    "forecast/schemas.py": f"{FORECAST} report",
    "forecast/comparison/figures.py": "report",
    "forecast/comparison/axes.py": "report",
    "forecast/comparison/examples.py": "report",
    "forecast/comparison/*.py": "leaderboard report",
    "forecast/series/__init__.py": f"{FORECAST} report",
    "forecast/series/config.py": f"{FORECAST} report",
    "forecast/series/generated_config.py": f"{FORECAST} report",
    "forecast/series/dataset.py": "make_series forecast",
    "forecast/series/scale.py": f"{FORECAST} report",
    "forecast/series/usage.py": f"{FORECAST} report",
    # Before anything runs, the configuration looks at the first rows of every table.
    "forecast/series/first_rows.py": "provenance",
    "forecast/series/columns.py": "make_series provenance",
    "forecast/series/cells.py": "make_series provenance",
    "forecast/series/*.py": "make_series",
    "forecast/config_checks.py": "provenance",
    "forecast/libraries.py": "provenance",
    # What a strategy file shows by its text is looked at before anything runs, and by its job.
    "forecast/strategy.py": "forecast provenance",
    "forecast/strategy_file.py": "forecast provenance",
    # A trial before anything runs, in a process of its own.
    "forecast/trial.py": "",
    "forecast/model/*.py": "forecast",
    "forecast/seeds/*.py": "forecast",
    # The published model is a baseline; its comparison with the reference is run by hand.
    "forecast/published/reference.py": "",
    "forecast/published/*.py": "forecast:titans_published",
    # The memory networks of these strategies, and what the linear baseline is solved from.
    "forecast/packed.py": PACKED,
    "forecast/window_products.py": "forecast:ar_ridge",
    "forecast/floors/*.py": "forecast:floor",
    "forecast/*.py": "forecast",
    # The repository's own pages: a command run by hand.
    "report/results_page/*.py": "",
    "report/*": "report",
}


def own(file: str) -> str:
    """The rules whose own code is `file`, named from the scripts' folder."""
    return OWN[pattern_of(file)].format(stem=Path(file).stem)


def pattern_of(file: str) -> str:
    """The first pattern that fits. A star is a name in one folder, but for the report.

    Raises:
        KeyError: none does.
    """
    library = file.startswith("ttt_memory/")
    name = file.removeprefix("ttt_memory/") if library else f"scripts/{file}"
    for pattern in OWN:
        deep = pattern == "report/*" or name.count("/") == pattern.count("/")
        if deep and fnmatch(name, pattern):
            return pattern
    raise KeyError(f"{file}: expected a pattern in OWN that says whose code it is")


def with_all_that_follows(rules: str) -> frozenset[str]:
    """The rules named and every rule downstream; `forecast:mesa` is that strategy's jobs alone."""
    found: set[str] = set()
    waiting = rules.split()
    while waiting:
        rule = waiting.pop()
        if rule not in found:
            found.add(rule)
            waiting.extend(FOLLOWS[rule.split(":")[0]].split())
    # All of them are no less for one of them being named.
    return frozenset(name for name in found if ":" not in name or "forecast" not in found)
