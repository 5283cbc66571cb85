"""Named experiments are validated before any training, run through DVC's queue, and recorded in a table."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from classifier.errors import UserError
from experiments import cluster, plan, sweep, table
from project import paths, seeds
from project.seeds import recipe
from tests.conftest import ROOT, Project, is_training, wait_until

EXAMPLE = "seeds: 2\nexperiments:\n  baseline: {}\n  flipped: {augment: {flip: true}}\nreferences: []\n"


@pytest.fixture(autouse=True)
def in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_the_committed_experiments_are_valid_and_differ() -> None:
    listed = plan.experiments(plan.load())
    assert len({experiment.recipe for experiment in listed}) == len(listed)
    for experiment in listed:
        for key, value in experiment.changes.items():
            section, name = key.split(".")
            assert experiment.params[section][name] == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("seeds: 1\nexperiments: {}\nreferences: []", "seeds: Input should be greater than or equal to 2"),
        ("seeds: 3\nexperiments: {My Own: {}}\nreferences: []", "should match pattern"),
        ("seeds: 3\nexperiments: {a: 7}\nreferences: []", "experiments.a: "),
        ("seeds: 3\nexperiment: {}\nreferences: []", "experiments: "),
        ("seeds: [3", "expected"),
    ],
)
def test_an_invalid_list_of_experiments_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "experiments.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        plan.load(path)


def test_invalid_params_are_reported_with_the_name_of_the_experiment() -> None:
    wanted = plan.load().model_copy(update={"experiments": {"fast": {"train": {"epoch": 5}}}})
    with pytest.raises(UserError, match=r"experiments\.yaml: fast: train\.epoch: unknown key, did you mean epochs\?"):
        plan.experiments(wanted)


def test_a_recipe_contains_all_that_scores_depend_on_except_the_seed() -> None:
    params: plan.Sections = {"train": {"seed": 1, "epochs": 3}, "plot": {"mistakes": 25}, "dataset": {"sources": ["a"]}}

    def recipe_with(**changes: dict[str, Any]) -> str:
        return recipe(params | {section: params.get(section, {}) | values for section, values in changes.items()})

    base = recipe_with()
    assert (
        recipe_with(train={"seed": 2})
        == recipe_with(plot={"mistakes": 9})
        == recipe_with(dataset={"sources": ["b"]})
        == base
    )
    assert recipe_with(train={"epochs": 4}) != base
    assert recipe_with(augment={"flip": False, "shift": 0}) == base, "new params with the value that switches them off"
    assert recipe_with(augment={"flip": True, "shift": 0}) != base


def test_a_sweep_contains_every_combination() -> None:
    runs = sweep.combinations(["train.learning_rate=choice(0.0005,0.002)", "model.dropout=choice(0.25,0.5)"])
    assert list(runs)[:2] == [
        "train.learning_rate-0.0005-model.dropout-0.25",
        "train.learning_rate-0.0005-model.dropout-0.5",
    ]
    assert list(runs.values())[2:] == [
        {"train.learning_rate": "0.002", "model.dropout": "0.25"},
        {"train.learning_rate": "0.002", "model.dropout": "0.5"},
    ]
    with pytest.raises(UserError, match=r"train\.seed.* missing EQUAL"):
        sweep.combinations(["train.seed"])


def test_the_error_without_ray_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="Ray is not installed; make extra-ray installs it"):
        cluster.connect("auto")


RUN = {
    "seed": 1, "loss": 0.25, "accuracy": 0.911, "precision": 0.91, "recall": 0.91, "f1": 0.91,
    "validation_accuracy": 0.93, "parameters": 1234, "multiply_adds": 10**6, "epochs": 5, "images_seen": 270_000,
    "model": "0" * 32,
}  # fmt: skip


def test_the_table_is_written_between_the_markers_of_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = paths.EXPERIMENTS_PAGE
    page.parent.mkdir()
    page.write_text(f"# Title\n\n{table.BEGIN}\nold\n{table.END}\n\nthe end\n")
    runs = pd.DataFrame([RUN | {"seed": seed, "accuracy": 0.91 + seed / 1000} for seed in (1, 2, 3)])
    experiment = plan.Experiment(name="wide", params={}, recipe="abc", changes={})
    row = table.row(experiment, runs)
    assert row.compute == pytest.approx(6 * 0.27)
    table.publish([row], [plan.Reference(name="people", accuracy=0.835, source="somewhere")])
    before, line, after = page.read_text().partition(
        "| wide | 1,234 | 1,000,000 | 5 | 270,000 | 1.6 | 93.00 % | 91.20 ± 0.10 % (3 seeds) | 0.2500 | 0.9100 |\n"
    )
    assert line
    assert before.startswith("# Title")
    assert "old" not in before
    assert after == f"\n{table.END}\n\nthe end\n"
    assert [list(found) for found in table.read()] == [pytest.approx(list(row))]
    assert paths.EXPERIMENTS_FIGURE.stat().st_size > 10_000

    table.publish([], [])
    assert table.read() == []
    page.write_text("no markers")
    with pytest.raises(UserError, match="lacks the lines"):
        table.publish([row], [])


def test_the_tables_show_the_experiments_that_are_complete() -> None:
    wanted = plan.load()
    runs = [(each, seeds.read(each.recipe)) for each in plan.experiments(wanted)]
    complete = [(each, found) for each, found in runs if len(found) >= wanted.seeds]
    rows = table.read()
    assert [row.name for row in rows] == [each.name for each, _ in complete]
    for row, (each, found) in zip(rows, complete, strict=True):
        assert list(row) == pytest.approx(list(table.row(each, found)), abs=1e-6)
    assert table.markdown(rows) in paths.EXPERIMENTS_PAGE.read_text(encoding="utf-8")


def test_runs_of_a_recipe_are_stored_in_the_order_of_their_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert seeds.read("abc").empty
    for seed in (3, 1):
        seeds.add("abc", RUN | {"seed": seed, "accuracy": seed / 10})
    assert seeds.read("abc").to_dict("records") == [
        RUN | {"seed": 1, "accuracy": 0.1},
        RUN | {"seed": 3, "accuracy": 0.3},
    ]
    assert seeds.read_accuracies(seeds.path("abc")) == [0.1, 0.3]
    older = "seed,accuracy\n1,0.9\n2,0.8\nmean,0.85\nstandard deviation,0.07\n"
    seeds.path("abc").write_text(older)
    assert seeds.read_accuracies(seeds.path("abc")) == [0.9, 0.8]
    for read in (lambda: seeds.read("abc"), lambda: seeds.read_accuracies(Path("README.md"))):
        Path("README.md").write_text("not a table\n")
        with pytest.raises(UserError, match=r"is not (the|a) table"):
            read()


@pytest.fixture(scope="module")
def project(new_project: Callable[[], Project]) -> Project:
    """A project with results, and two experiments with two seeds each."""
    project = new_project()
    project.dvc("repro")
    (project.folder / "experiments.yaml").write_text(EXAMPLE)
    project.git("add", ".")
    project.git("commit", "-qm", "results")
    return project


@pytest.mark.slow
def test_two_jobs_complete_the_table_and_a_second_call_runs_only_what_is_missing(project: Project) -> None:
    assert "0 of 2 experiments are complete" in project.run("make", "experiments", "JOBS=2").stdout
    kept = (project.folder / "metrics/experiments.csv").read_text()
    assert [line.split(",")[0] for line in kept.splitlines()] == ["name", "baseline", "flipped"]
    page = (project.folder / "docs/experiments.md").read_text()
    assert re.search(r"^\| baseline \| 34,826 \| 2,440,960 \| 2 \| 1,080 \| .* \(2 seeds\) \|", page, re.MULTILINE)
    assert "| flipped | 34,826 | 2,440,960 | 2 | 1,080 |" in page

    before = project.snapshot()
    assert "2 of 2 experiments are complete" in project.run("make", "experiments").stdout
    assert project.snapshot() == before
    (project.folder / "experiments.yaml").write_text(EXAMPLE.replace("flip: true", "flip: true, shift: 1"))
    assert "1 of 2 experiments are complete" in project.run("make", "experiments").stdout
    assert (project.folder / "metrics/experiments.csv").read_text().splitlines()[:2] == kept.splitlines()[:2]


@pytest.mark.slow
def test_parallel_runs_give_the_same_bits_as_a_single_run(project: Project) -> None:
    """The runs in the table shared the cores, two at a time; --again repeats one of them alone."""
    assert "baseline: identical, " in project.run("python", "-m", "experiments", "--again", "baseline").stdout
    (path,) = {*(project.folder / "metrics/seeds").glob(f"{read_first_recipe(project)}.csv")}
    path.write_text(re.sub(r"[0-9a-f]{32}$", "0" * 32, path.read_text(), count=1, flags=re.MULTILINE))
    failed = project.run("python", "-m", "experiments", "--again", "baseline", check=False)
    assert failed.returncode == 1
    assert "error: experiments: baseline has other results: model differ" in failed.stderr


@pytest.mark.slow
def test_a_failed_experiment_does_not_end_the_others(project: Project) -> None:
    listed = (
        "seeds: 2\nexperiments:\n"
        "  empty: {prepare: {validation_fraction: 1.0e-9}}\n  small: {train: {epochs: 1}}\nreferences: []\n"
    )
    (project.folder / "experiments.yaml").write_text(listed)
    result = project.run("make", "experiments", "JOBS=2", check=False)
    assert result.returncode
    assert re.search(r"error: experiments: seed-\d-of-\w+, seed-\d-of-\w+ failed; dvc queue logs", result.stderr)
    assert "| small | 34,826 | 2,440,960 | 1 |" in (project.folder / "docs/experiments.md").read_text()


@pytest.mark.slow
def test_an_interruption_ends_the_trainings_and_the_next_call_runs_them_again(project: Project) -> None:
    listed = "seeds: 2\nexperiments:\n  long: {train: {epochs: 10000}}\nreferences: []\n"
    (project.folder / "experiments.yaml").write_text(listed)
    with subprocess.Popen(
        [sys.executable, "-m", "experiments", "--jobs", "2"], cwd=project.folder, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # background processes ignore it
    ) as run:  # fmt: skip
        wait_until(lambda: count_trainings(project) == 2)
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "experiments: interrupted" in errors
    wait_until(lambda: count_trainings(project) == 0)
    (project.folder / "experiments.yaml").write_text(listed.replace("10000", "1"))
    project.run("make", "experiments")
    assert "| long | 34,826 | 2,440,960 | 1 |" in (project.folder / "docs/experiments.md").read_text()


def count_trainings(project: Project) -> int:
    """Count the trainings that run in the project or in a copy of it that DVC made below its folder."""
    count = 0
    for process in psutil.process_iter(["cmdline", "cwd"]):
        inside = str(process.info["cwd"]).startswith(str(project.folder))
        count += inside and is_training(process.info["cmdline"])
    return count


def read_first_recipe(project: Project) -> str:
    """The recipe of the first experiment in the table."""
    return next(row.split(",")[1] for row in (project.folder / "metrics/experiments.csv").read_text().splitlines()[1:])
