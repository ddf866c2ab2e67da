"""The study on a real Slurm: what Slurm itself wrote down of it, and the same results."""

from itertools import combinations
from pathlib import Path

from clone import Clone
from cluster import Job
from small_study import Study, contents

ON_GPUS = {"train", "sanity", "recall", "diagnose"}
ON_CPUS = {"make_benchmark", "make_corpus", "train_base", "score"}


def of_study(study: Study) -> list[Job]:
    """The study's jobs; other tests submit jobs to the same Slurm, from folders of their own."""
    jobs = [job for job in study.cluster.jobs() if job.folder == study.clone.path]
    return [job for job in jobs if job.rule in ON_GPUS | ON_CPUS]


def test_results_are_the_local_run_s_byte_for_byte(
    study: Study, results: Path, local: Clone
) -> None:
    expected = contents(local.path / "results" / "tiny")
    found = contents(results)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


def test_every_rule_but_the_light_ones_was_a_job_of_slurm(study: Study) -> None:
    assert {job.rule for job in of_study(study)} == ON_GPUS | ON_CPUS
    assert "report" not in {job.rule for job in study.cluster.jobs()}


def test_gpu_rules_asked_for_one_a100_and_cpu_rules_for_none(study: Study) -> None:
    for job in of_study(study):
        expected = "a100:1" if job.rule in ON_GPUS else ""
        assert (job.rule, job.gpus) == (job.rule, expected)
        assert len(job.devices) == (job.rule in ON_GPUS)


def test_two_shards_ran_at_once_on_different_devices(study: Study) -> None:
    shards = [job for job in of_study(study) if job.rule == "recall"]
    at_once = [pair for pair in combinations(shards, 2) if pair[0].overlaps(pair[1])]
    assert at_once
    for one, other in at_once:
        assert not set(one.devices) & set(other.devices)


def test_jobs_run_at_once_in_submissions_of_their_own(study: Study) -> None:
    """Jobs of one submission would run one after the other, and all be lost with one."""
    jobs = of_study(study)
    shards = [job for job in jobs if job.rule == "recall"]
    # Two shards each of A and B of the run, and of A of the base.
    assert len({job.id for job in shards}) == 3 * 2
    on_cpus = [job for job in jobs if job.rule in ON_CPUS]
    assert all(not job.gpus for job in on_cpus)
    assert any(one.overlaps(other) for one, other in combinations(on_cpus, 2))
