"""The named experiments on a real Ray cluster of two nodes, one of which dies in the middle."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest

from tests.conftest import Project, is_training, until

pytestmark = pytest.mark.slow

EXPERIMENTS = """
seeds: 2
experiments:
  baseline: {}
  slower: {train: {learning_rate: 0.0005}}
  mirrored: {augment: {flip: true}}
references: []
"""


@pytest.fixture(scope="module")
def project(new_project: Callable[[], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """With results, and both its git repository and its storage elsewhere."""
    project = new_project()
    (project.folder / ".venv/extra-ray").touch()  # for make: the tests' environment has it
    shared = tmp_path_factory.mktemp("shared")
    project.change(train__epochs=12)  # long enough to be met in the middle
    (project.folder / "experiments.yaml").write_text(EXPERIMENTS)
    project.dvc("repro")
    project.run("make", "remote", f"URL={shared / 'storage'}")
    project.dvc("push", "--run-cache")
    project.git("init", "-q", "--bare", str(shared / "origin"))
    project.git("remote", "add", "origin", str(shared / "origin"))
    project.git("add", ".")
    project.git("commit", "-qm", "results")
    project.git("push", "-q", "-u", "origin", "main")
    return project


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Its head computes nothing; two nodes take one run each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield cluster
    cluster.shutdown()


def test_what_a_cluster_cannot_reach_is_told_before_any_run(project: Project) -> None:
    def told(*command: str) -> str:
        result = project.run(sys.executable, "-m", *command, check=False)
        assert result.returncode == 1
        assert "Traceback" not in result.stderr
        return result.stderr

    seeds = ("experiments.seeds", "--count", "2", "--cluster", "127.0.0.1:1")
    project.git("commit", "-q", "--allow-empty", "-m", "not pushed yet")
    assert "is not on origin, from which a cluster's nodes clone; git push it" in told(*seeds)
    project.git("reset", "-q", "--hard", "HEAD~1")
    project.change(train__epochs=3)
    assert "are not committed; a cluster's nodes would not see them" in told(*seeds)
    project.git("checkout", "-q", "params.yaml")
    assert "error: experiments.seeds: no Ray cluster at 127.0.0.1:1" in told(*seeds)
    assert "missing EQUAL" in told("experiments.sweep", "train.seed", "--cluster", "127.0.0.1:1")


def test_six_runs_arrive_once_each_though_a_node_dies(project: Project, cluster: Any) -> None:
    doomed, _ = cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)
    with subprocess.Popen(
        ["make", "experiments", f"CLUSTER={cluster.address}"], cwd=project.folder,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as run:  # fmt: skip
        until(lambda: bool(trainings_below(raylet(doomed))), seconds=300)
        kill(raylet(doomed))
        cluster.remove_node(doomed, allow_graceful=False)
        cluster.add_node(num_cpus=1)
        output, _ = run.communicate(timeout=900)
    assert run.returncode == 0, output
    assert len(re.findall(r"^\S*seed-[12]-of-\w{12} on \S+: done$", output, re.MULTILINE)) == 6, output

    refs = project.git("ls-remote", "origin", "refs/exps/*").splitlines()
    names = [ref.rpartition("/")[2] for ref in refs]
    assert len(names) == len(set(names)) == 6
    table = (project.folder / "metrics/experiments.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in table] == ["name", "baseline", "slower", "mirrored"]
    for name in ("baseline", "slower", "mirrored"):  # here, in DVC's queue, without the cluster
        again = project.run(sys.executable, "-m", "experiments", "--again", name).stdout
        assert f"{name}: identical" in again

    for path in (project.folder / "metrics/seeds").iterdir():
        path.unlink()
    before = time.monotonic()
    output = project.run("make", "experiments", f"CLUSTER={cluster.address}").stdout
    assert "0 of 3 experiments are complete" in output
    assert project.git("ls-remote", "origin", "refs/exps/*").splitlines() == refs, "they were computed again"
    assert (project.folder / "metrics/experiments.csv").read_text().splitlines() == table
    assert time.monotonic() - before < 300


def test_a_sweep_runs_there_and_one_that_fails_does_not_end_the_others(project: Project, cluster: Any) -> None:
    sweep = (
        "experiments.sweep", "train.learning_rate=choice(0.0005,-1)", "train.epochs=1", "--cluster", cluster.address
    )  # fmt: skip
    project.git("checkout", "-q", ".")
    result = project.run(sys.executable, "-m", *sweep, check=False)
    assert result.returncode == 1
    assert "error: experiments.sweep: train.learning_rate--1-train.epochs-1 failed" in result.stderr
    assert "params.yaml: train.learning_rate: should be greater than 0, not -1" in result.stderr + result.stdout
    ref = project.git("for-each-ref", "--format=%(refname)", "refs/exps/*/*/train.learning_rate-0.0005-train.epochs-1")
    assert json.loads(project.git("show", f"{ref}:metrics/train.json"))["epochs"] == 1


def test_an_interruption_ends_the_trainings_on_the_nodes(project: Project, cluster: Any) -> None:
    def trainings() -> list[psutil.Process]:
        return [each for node in cluster.list_all_nodes() for each in trainings_below(raylet(node))]

    with subprocess.Popen(
        [sys.executable, "-m", "experiments.sweep", "train.epochs=10000", "--cluster", cluster.address],
        cwd=project.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # in the background it is ignored
    ) as run:  # fmt: skip
        until(lambda: len(trainings()) == 1, seconds=300)
        (training,) = trainings()
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=120)
    assert run.returncode == 130, errors
    assert "experiments.sweep: interrupted" in errors
    until(lambda: not training.is_running(), seconds=300)


def raylet(node: Any) -> psutil.Process:
    (info,) = node.all_processes["raylet"]
    return psutil.Process(info.process.pid)


def trainings_below(process: psutil.Process) -> list[psutil.Process]:
    below = {child.pid for child in process.children(recursive=True)}
    every = psutil.process_iter(["cmdline"])
    return [each for each in every if each.pid in below and is_training(each.info["cmdline"])]


def kill(process: psutil.Process) -> None:
    """All at once with what it has started, as if the machine were switched off."""
    for each in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            each.kill()
