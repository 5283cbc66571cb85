"""Named experiments on a real Ray cluster of two nodes, one of which fails during a run.

The tests share the project and the cluster: the first that trains adds the nodes on which the later ones run.
"""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pandas as pd
import psutil
import pytest

from tests.conftest import Project, is_training, restore_signals, wait_until

pytestmark = pytest.mark.slow

EXPERIMENTS = """
seeds: 2
experiments:
  baseline: {}
  flipped: {augment: {flip: true}}
references: []
"""


@pytest.fixture(scope="module")
def project(new_finished_project: Callable[[], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with results, whose git remote and DVC storage are in other folders."""
    project = new_finished_project()
    (project.folder / ".venv/extra-ray").touch()  # make does not install it: the tests' environment has it
    shared = tmp_path_factory.mktemp("shared")
    (project.folder / "experiments.yaml").write_text(EXPERIMENTS)
    project.run("make", "remote", f"URL={shared / 'storage'}")
    project.dvc("push", "--run-cache")
    project.git("init", "-q", "--bare", str(shared / "origin"))
    project.git("remote", "add", "origin", str(shared / "origin"))
    project.git("commit", "-qam", "two experiments, and the storage")
    project.git("push", "-q", "-u", "origin", "main")
    return project


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster whose head runs nothing. Tests add nodes that run one experiment at a time."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield cluster
    cluster.shutdown()


def test_errors_are_reported_before_any_run(project: Project) -> None:
    def run_failing(*command: str) -> str:
        result = project.run(sys.executable, "-m", *command, check=False)
        assert result.returncode == 1
        assert "Traceback" not in result.stderr
        return result.stderr

    seeds = ("experiments.seeds", "--count", "2", "--cluster", "127.0.0.1:1")
    project.git("commit", "-q", "--allow-empty", "-m", "not pushed yet")
    assert "is not on origin, from which a cluster's nodes clone; git push it" in run_failing(*seeds)
    project.git("reset", "-q", "--hard", "HEAD~1")
    project.set_params(train__epochs=3)
    assert "are not committed; a cluster's nodes would not see them" in run_failing(*seeds)
    project.git("checkout", "-q", "params.yaml")
    assert "error: experiments.seeds: no Ray cluster at 127.0.0.1:1" in run_failing(*seeds)
    assert "missing EQUAL" in run_failing(
        "experiments.search", "train.seed", "--question", "Q", "--cluster", "127.0.0.1:1"
    )


def test_each_of_four_runs_is_pushed_once_although_a_node_fails(project: Project, cluster: Any) -> None:
    failing_node, _ = cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)
    with subprocess.Popen(
        ["make", "experiments", f"CLUSTER={cluster.address}"], cwd=project.folder,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as run:  # fmt: skip
        wait_until(lambda: bool(find_trainings(find_raylet(failing_node))), seconds=300)
        kill(find_raylet(failing_node))
        cluster.remove_node(failing_node, allow_graceful=False)
        cluster.add_node(num_cpus=1)
        output, _ = run.communicate(timeout=900)
    assert run.returncode == 0, output
    assert len(re.findall(r"^\S*seed-[12]-of-\w{12} on \S+: done$", output, re.MULTILINE)) == 4, output

    refs = project.git("ls-remote", "origin", "refs/exps/*").splitlines()
    names = [ref.rpartition("/")[2] for ref in refs]
    assert len(names) == len(set(names)) == 4
    table = (project.folder / "metrics/experiments.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in table] == ["name", "baseline", "flipped"]
    again = project.run(sys.executable, "-m", "experiments", "--again", "flipped").stdout  # through DVC's queue
    assert "flipped: identical" in again

    for path in (project.folder / "metrics/seeds").iterdir():
        path.unlink()
    output = project.run("make", "experiments", f"CLUSTER={cluster.address}").stdout
    assert "0 of 2 experiments are complete" in output
    assert project.git("ls-remote", "origin", "refs/exps/*").splitlines() == refs, "they were computed again"
    assert (project.folder / "metrics/experiments.csv").read_text().splitlines() == table


def test_a_search_on_the_cluster_records_the_runs_that_do_not_fail(project: Project, cluster: Any) -> None:
    search = (
        "experiments.search", "prepare.validation_fraction=choice(0.2,1e-9)", "train.epochs=1",
        "--question", "How many?", "--cluster", cluster.address,
    )  # fmt: skip
    project.git("checkout", "-q", ".")
    result = project.run(sys.executable, "-m", *search, check=False)
    assert result.returncode == 1
    failed = r"prepare\.validation_fraction-1e-09-train\.epochs-1-\w{12}-1"
    assert re.search(rf"error: experiments\.search: {failed} failed", result.stderr)
    assert "for training and 0 for validation" in result.stderr + result.stdout
    (row,) = pd.read_csv(project.folder / "metrics/search.csv").to_dict("records")
    assert (row["question"], row["changes"]) == ("How many?", "prepare.validation_fraction=0.2 train.epochs=1")
    assert (row["epochs"], row["seed"]) == (1, 1)


def test_an_interruption_ends_the_trainings_on_the_nodes(project: Project, cluster: Any) -> None:
    def trainings() -> list[psutil.Process]:
        return [each for node in cluster.list_all_nodes() for each in find_trainings(find_raylet(node))]

    search = ("experiments.search", "train.epochs=10000", "--question", "Q", "--cluster", cluster.address)
    with project.start(
        sys.executable, "-m", *search, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        preexec_fn=restore_signals,
    ) as run:  # fmt: skip
        wait_until(lambda: len(trainings()) == 1, seconds=300)
        (training,) = trainings()
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=120)
    assert run.returncode == 130, errors
    assert "experiments.search: interrupted" in errors
    wait_until(lambda: not training.is_running(), seconds=300)


def find_raylet(node: Any) -> psutil.Process:
    """The process of Ray that starts the workers of a node."""
    (info,) = node.all_processes["raylet"]
    return psutil.Process(info.process.pid)


def find_trainings(process: psutil.Process) -> list[psutil.Process]:
    """The processes of the stage train that a process has started, directly or not."""
    below = {child.pid for child in process.children(recursive=True)}
    every = psutil.process_iter(["cmdline"])
    return [each for each in every if each.pid in below and is_training(each.info["cmdline"])]


def kill(process: psutil.Process) -> None:
    """Kill a process and all that it has started, as if the machine were switched off."""
    for each in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            each.kill()
