"""The pipeline, run with the real dvc and git in a temporary project with a tiny dataset."""

import json
import re
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest

from classifier import tables
from project import paths
from tests.conftest import ROOT, Project
from tests.test_arithmetic import not_known_on_untested_cpus

STAGES = ["fetch", "prepare", "train", "evaluate", "plot"]

# The content of sitecustomize.py, which Python imports at its start: records modules that open a file of the test split
RECORD_READERS = """
import os, sys

def record(event, arguments):
    if event == "open" and not isinstance(arguments[0], int):
        path = os.fsdecode(arguments[0])
        if "prepared/test" in path or "t10k" in path:
            with open(os.environ["READERS"], "a") as records:
                print(".".join(sys.orig_argv[2:4]) if sys.orig_argv[2] == "stages" else sys.orig_argv[2], file=records)

if sys.orig_argv[1:2] == ["-m"]:
    sys.addaudithook(record)
"""


def find_stages(output: str) -> list[str]:
    """The stages that a `dvc repro` has run, according to its output."""
    return re.findall(r"^Running stage '(\w+)'", output, re.MULTILINE)


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], set[str]]]:
    """A function that returns the modules that have opened files of the test split so far."""
    folder = tmp_path_factory.mktemp("readers")
    (folder / "sitecustomize.py").write_text(RECORD_READERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        patch.setenv("READERS", str(folder / "records"))
        yield lambda: set((folder / "records").read_text().split())


@pytest.fixture(scope="module")
def project(new_project: Callable[[], Project], readers: object) -> Project:
    """A project with results, which are committed on main."""
    project = new_project()
    assert find_stages(project.dvc("repro")) == STAGES
    project.git("add", ".")
    project.git("commit", "-qm", "results")
    return project


@pytest.fixture
def on_branch(project: Project) -> Iterator[Project]:
    """The project on a new branch from main; main is checked out again after the test."""
    project.git("checkout", "-qB", "experiment", "main")
    yield project
    project.git("checkout", "-qf", "main")


def test_the_results_are_complete_and_consistent(project: Project) -> None:
    metrics = json.loads((project.folder / "metrics/evaluate.json").read_text())
    assert list(metrics) == ["train", "validation", "test"]
    assert set(metrics["test"]) == {"loss", "accuracy", "confidence", "precision", "recall", "f1"}
    summary = json.loads((project.folder / "metrics/train.json").read_text())
    assert (summary["parameters"], summary["epochs"], summary["images_seen"]) == (34_826, 2, 2 * 540)

    history = pd.read_csv(project.folder / "plots/history.csv")
    assert list(history.columns) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]

    predictions = pd.read_csv(project.folder / "metrics/predictions.csv")
    assert (predictions["actual"] == predictions["predicted"]).mean() == pytest.approx(metrics["test"]["accuracy"])
    counts = pd.read_csv(project.folder / "plots/confusion_test.csv")
    assert counts["count"].sum() == len(predictions) == 200
    correct = counts[counts["actual"] == counts["predicted"]]["count"].sum()
    assert correct / 200 == pytest.approx(metrics["test"]["accuracy"])
    assert np.load(project.folder / "plots/mistakes.npy").shape == (200 - correct, 28, 28)
    recall = pd.read_csv(project.folder / "metrics/per_class.csv").groupby("split")["recall"].mean()
    for split in ("train", "validation", "test"):
        assert recall[split] == pytest.approx(metrics[split]["recall"], abs=1e-5)
    pictures = {path.stem for path in (project.folder / "plots/pictures").iterdir()}
    assert pictures == {"learning_curves", "confusion_test", "confusion_train", "per_class", "mistakes"}
    assert not [name for name in project.snapshot() if name.endswith(".tmp")]


def test_metrics_and_plots_are_in_git_and_data_and_model_are_not(project: Project) -> None:
    assert project.git("status", "--porcelain") == ""
    tracked = project.git("ls-files").splitlines()
    assert "metrics/predictions.csv" in tracked
    assert "plots/pictures/mistakes.png" in tracked
    assert not [path for path in tracked if path.startswith(("data/", "models/")) and not path.endswith(".gitignore")]


@not_known_on_untested_cpus
def test_train_has_found_the_committed_result_of_every_operation_on_this_cpu(project: Project) -> None:
    found, committed = (tables.read_operations(folder / paths.ARITHMETIC) for folder in (project.folder, ROOT))
    pd.testing.assert_frame_equal(found, committed)


def test_a_second_repro_runs_no_stage(project: Project) -> None:
    output = project.dvc("repro")
    assert find_stages(output) == []
    assert output.count("didn't change, skipping") == len(STAGES)
    assert project.git("status", "--porcelain") == ""


def test_only_evaluate_reads_the_prepared_test_split(project: Project, readers: Callable[[], set[str]]) -> None:
    # fetch and prepare write the test split, and dvc hashes it
    assert readers() == {"dvc", "stages.fetch", "stages.prepare", "stages.evaluate"}


@pytest.mark.slow
def test_the_benchmark_does_not_read_the_test_split(project: Project, readers: Callable[[], set[str]]) -> None:
    project.run(sys.executable, "-m", "benchmarks.pipeline", "data/prepared/train", "default")
    assert "benchmarks.pipeline" not in readers()


@pytest.mark.slow
def test_an_experiment_runs_only_the_affected_stages_and_dvc_shows_the_difference(on_branch: Project) -> None:
    assert find_stages(on_branch.dvc("exp", "run", "-n", "larger-rate", "-S", "train.learning_rate=0.01")) == [
        "train", "evaluate", "plot",
    ]  # fmt: skip
    assert "larger-rate" in on_branch.dvc("exp", "show", "--csv")
    on_branch.git("commit", "-qam", "A larger learning rate")

    params = json.loads(on_branch.dvc("params", "diff", "main", "--json"))
    assert params == {"params.yaml": {"train.learning_rate": {"old": 0.001, "new": 0.01, "diff": pytest.approx(0.009)}}}
    metrics = json.loads(on_branch.dvc("metrics", "diff", "main", "--json"))
    assert set(metrics["metrics/evaluate.json"]) >= {"test.loss", "test.accuracy"}
    assert "| metrics/evaluate.json | test.loss" in on_branch.dvc("metrics", "diff", "main", "--md")
    on_branch.git("checkout", "-q", "main")
    on_branch.dvc("checkout")


def test_an_invalid_param_is_a_one_line_error_and_the_old_value_restores_the_results(on_branch: Project) -> None:
    before = on_branch.snapshot()
    on_branch.set_params(plot__mistakes=0)
    failed = on_branch.run("dvc", "repro", check=False)
    assert failed.returncode != 0
    errors = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    expected = "error: plot: params.yaml: plot.mistakes: should be greater than or equal to 1, not 0"
    assert errors == [expected]
    assert "Traceback" not in failed.stderr
    on_branch.git("checkout", "params.yaml")
    assert "train" not in find_stages(on_branch.dvc("repro"))
    assert on_branch.snapshot() == before
