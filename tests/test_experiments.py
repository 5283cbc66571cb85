"""Named experiments are validated before any training, run through DVC's queue, and recorded in a table.

The slow tests share a project and build on each other: later ones use the trainings and tables of earlier ones.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from classifier import tables
from classifier.errors import UserError
from experiments import __main__, apply, cluster, dvc_queue, plan, search, table
from experiments.seeds import of_this_code
from project import paths, seeds
from project.seeds import recipe
from project.significance import LEVEL, compare
from tests.conftest import ROOT, Project, is_training, of_the_published_recipe, restore_signals, wait_until
from tests.test_walk import code_block

EXAMPLE = "seeds: 2\nexperiments:\n  baseline: {}\n  flipped: {augment: {flip: true}}\nreferences: []\n"
ONLY_TABLE = ("python", "-m", "experiments", "--table")


@pytest.fixture(autouse=True)
def in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@of_the_published_recipe  # another recipe can be one of the experiments
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


def test_the_documented_search_contains_every_combination() -> None:
    _, _, _, *arguments = shlex.split(code_block("docs/experiments.md", "python -m experiments.search"))
    runs = search.combinations(arguments[: arguments.index("--question")])
    assert search.describe(runs[0]) == "train.learning_rate=0.0005 model.dropout=0.25"
    assert runs[2:] == [
        {"train.learning_rate": "0.002", "model.dropout": "0.25"},
        {"train.learning_rate": "0.002", "model.dropout": "0.5"},
    ]
    with pytest.raises(UserError, match=r"train\.seed.* missing EQUAL"):
        search.combinations(["train.seed"])


def test_a_run_of_a_search_is_recognized_by_its_recipe_and_seed() -> None:
    (flipped,) = [each for each in plan.experiments(plan.load()) if each.name == "flipped"]
    assert search.training(flipped.changes) == (flipped.recipe, 1)
    as_text = {key: str(value) for key, value in flipped.changes.items()}
    assert search.training(as_text | {"train.seed": "2"}) == (flipped.recipe, 2)
    assert search.training({"train.epochs": "3"}) != search.training({"train.epochs": "4"})
    with pytest.raises(UserError, match=r"params\.yaml has no key train\.epoch$"):
        search.training({"train.epoch": "3"})
    with pytest.raises(UserError, match=r"^model\.dropout=2: model\.dropout: "):
        search.training({"model.dropout": "2"})


def test_a_search_refuses_params_without_effect_on_what_it_compares() -> None:
    search.refuse_without_effect({"prepare.seed": "2", "model.dropout": "0.2", "train.seed": "2", "augment.shift": "1"})
    for key in ("evaluate.flip_average", "plot.mistakes", "dataset.sources"):
        with pytest.raises(UserError, match=rf"^{key} has no effect on prepare and train, so none on what a search"):
            search.refuse_without_effect({"train.seed": "2", key: "1"})


def test_the_name_of_a_run_is_short_and_its_own() -> None:
    changes = " ".join(f"train.key_{number}=0.123456" for number in range(100))
    names = {search.short_name(changes, search.Training("0123456789ab", seed)) for seed in (1, 2)}
    assert len(names) == 2
    assert all(len(name) < 128 and re.fullmatch(r"[\w.-]+", name) for name in names)


def test_an_experiment_that_is_not_that_of_the_table_is_noticed() -> None:
    experiments = {each.name: each for each in plan.experiments(plan.load())}
    (row, *_) = [row for row in table.read() if row.name == "flipped"]
    of_the_table = experiments["flipped"].model_copy(update={"recipe": row.recipe})
    assert not apply.is_another_recipe(of_the_table)
    assert apply.is_another_recipe(of_the_table.model_copy(update={"recipe": experiments["resnet"].recipe}))
    assert not apply.is_another_recipe(of_the_table.model_copy(update={"name": "new"}))


def test_a_damaged_record_of_searches_is_restored_from_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths.SEARCH.parent.mkdir()
    paths.SEARCH.write_text("question,changes\nHow long?,train.epochs=3\n")
    with pytest.raises(UserError, match=r"search\.csv is .*; git checkout metrics/search\.csv restores it$"):
        search.read()


def test_an_experiment_is_not_mixed_with_changes_of_the_params_that_are_not_committed(
    new_project: Callable[[], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = new_project()
    monkeypatch.chdir(project.folder)
    (project.folder / "experiments.yaml").write_text(EXAMPLE)
    flipped = apply.find("flipped")
    project.set_params(augment__flip=True)
    assert apply.find("flipped") == flipped, "a training that was interrupted goes on"
    with pytest.raises(UserError, match=r"params\.yaml has changes that are not committed; commit them, or undo"):
        apply.find("baseline")
    project.set_params(train__epochs="many")
    project.git("commit", "-qam", "wrong params")
    with pytest.raises(UserError, match=r"^params\.yaml: train\.epochs: should be a valid integer, not 'many'"):
        apply.find("flipped")


def test_only_the_missing_runs_of_the_named_experiments_are_trained(
    new_project: Callable[[], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(new_project().folder)
    paths.EXPERIMENTS.write_text(EXAMPLE)
    wanted = plan.load()
    listed = {each.name: each for each in plan.experiments(wanted)}
    asked: dict[str, Any] = {}

    def note(repo: Any, runs: dict[str, Any]) -> Iterator[str]:
        asked.update(runs)
        return iter(())

    __main__.complete([*listed.values()], ["flipped"], wanted, note)
    assert [*asked] == [f"seed-{seed}-of-{listed['flipped'].recipe}" for seed in (1, 2)]
    __main__.complete([*listed.values()], [], wanted, note)
    assert len(asked) == 4
    with pytest.raises(UserError, match="flopped"):
        __main__.complete([*listed.values()], ["flopped"], wanted, note)

    flipped = listed["flipped"].recipe
    seeds.add(flipped, make_run(1, np.arange(8) < 6, code=seeds.code_of_working_tree()))
    asked.clear()
    __main__.complete([*listed.values()], ["flipped"], wanted, note)
    assert [*asked] == [f"seed-2-of-{flipped}"], "only what is missing"


def test_wrong_options_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["--jobs", "0"], "argument --jobs: 0 is not at least 1"),
        (["--table", "--again", "baseline"], "not allowed with argument"),
    ):
        monkeypatch.setattr(sys, "argv", ["experiments", *arguments])
        with pytest.raises(SystemExit):
            __main__.main()
        assert message in capsys.readouterr().err
    for arguments, message in (
        (["--cpus", "2"], "--cpus and --gpus are for --cluster"),
        (["--again", "baseline", "--cluster", "auto"], "take no names and no --cluster"),
        (["flipped", "--table"], "take no names and no --cluster"),
    ):
        monkeypatch.setattr(sys, "argv", ["experiments", *arguments])
        with pytest.raises(UserError, match=message):
            __main__.main()


def test_the_error_without_ray_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="Ray is not installed; make extra-ray installs it"):
        cluster.connect("auto")


def make_run(seed: int, correct: NDArray[np.bool_], **values: object) -> dict[str, Any]:
    """A row of a table of seeds. correct: which test images are classified correctly. values: other than these."""
    return {
        "seed": seed, "accuracy": float(correct.mean()), "loss": 0.25, "confidence": 0.92, "f1": 0.91,
        "validation_accuracy": 0.75, "parameters": 1234, "multiply_adds": 10**6, "epochs": 5, "images_seen": 270_000,
        "model": "0" * 32, "code": "c" * 12, "data": "d" * 12, "images": len(correct), "correct": tables.pack(correct),
        "validation_images": 4, "validation_correct": tables.pack(np.array([True, True, True, False])),
    } | values  # fmt: skip


def make_runs(right: int, generator: np.random.Generator) -> pd.DataFrame:
    """Three runs on 10,000 images that err on all but the first `right` ones, and in 2 % of the images by chance."""
    correct = (np.arange(10_000) < right) ^ (generator.random((3, 10_000)) < 0.02)
    return pd.DataFrame([make_run(seed, bits) for seed, bits in enumerate(correct, start=1)])


def make_experiments(*names: str) -> list[plan.Experiment]:
    return [plan.Experiment(name=name, params={}, recipe=f"recipe of {name}", changes={}) for name in names]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page of a project in which nothing else is."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / paths.EXPERIMENTS_PAGE
    path.parent.mkdir()
    path.write_text(f"# Title\n\n{table.BEGIN}\nold\n{table.END}\n\nthe end\n")
    return path


def test_the_table_is_written_between_the_markers_of_its_page(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    correct = np.arange(1000) < 910
    runs = pd.DataFrame([make_run(seed, correct, accuracy=0.91 + seed / 1000) for seed in (1, 2, 3)])
    (wide,) = make_experiments("wide")
    row = table.row(wide, runs)
    assert row.compute == pytest.approx(6 * 0.27)
    better = row._replace(name="better", difference=0.0138, low=-0.00001, high=0.0166, verdict="Better, by less")
    earlier = row._replace(name="old", verdict=table.EARLIER)
    table.publish(
        [row, better, earlier], [plan.Reference(name="people", parameters=1000, accuracy=0.835, source="somewhere")]
    )
    size, scores = "1,234 | 1,000,000 | 5 | 270,000 | 1.6 | 75.00 %", "91.20 ± 0.10 % (3 seeds)"
    before, lines, after = page.read_text().partition(
        f"| wide | {size} | {scores} | – | 0.2500 | 0.9100 |\n"
        f"| better | {size} | {scores} | +1.38 (+0.00 to +1.66) Better, by less | 0.2500 | 0.9100 |\n"
        f"| old † | {size} | {scores} | – | 0.2500 | 0.9100 |\n"
    )
    assert lines
    assert before.startswith("# Title")
    assert "old" not in before
    assert after == f"\n{table.NOTE}\n\n{table.END}\n\nthe end\n"
    assert [list(found) for found in table.read()] == [pytest.approx(list(each)) for each in (row, better, earlier)]
    assert paths.EXPERIMENTS_FIGURE.stat().st_size > 10_000

    monkeypatch.setattr(table, "figure", lambda rows, references: Figure())  # which takes a second
    table.publish([row], [])
    assert "†" not in page.read_text()
    table.publish([], [])
    assert table.read() == []
    page.write_text("no markers")
    with pytest.raises(UserError, match="lacks the lines"):
        table.publish([row], [])
    paths.EXPERIMENTS_TABLE.write_text("name,recipe\n<<<<<<< HEAD\n")
    with pytest.raises(UserError, match=r"metrics/experiments\.csv was written by another version, .* remove the file"):
        table.read()


def test_experiments_are_compared_with_the_baseline() -> None:
    generator = np.random.default_rng(1)
    rights = {"baseline": 9000, "better": 9200, "worse": 8800, "same": 9000}
    complete = {name: make_runs(right, generator) for name, right in rights.items()}
    rows = {row.name: row for row in table.update([], make_experiments(*rights), complete)}
    assert list(rows) == list(rights)
    correct = {name: seeds.correct(runs) for name, runs in complete.items()}
    for name in ("better", "worse", "same"):
        row, change = rows[name], compare(correct["baseline"], correct[name], list(correct.values()))
        assert (row.difference, row.low, row.high) == (row.accuracy - rows["baseline"].accuracy, *change.interval())
        assert row.code == "c" * 12
    assert rows["better"].verdict == "Better"
    assert rows["worse"].verdict == "Worse"
    assert rows["same"].verdict.startswith(("Equivalent", "Undecided"))
    assert rows["baseline"][-4:] == (0, 0, 0, table.NOT_COMPARED)

    del complete["baseline"]
    rows = {row.name: row for row in table.update([], make_experiments(*rights), complete)}
    assert {name: row[-4:] for name, row in rows.items()} == dict.fromkeys(complete, (0, 0, 0, table.NOT_COMPARED))


def test_each_experiment_in_the_table_is_a_look_at_the_test_set() -> None:
    """One of p = 0.03 is better if it is the only one, and not if it is one of five. Earlier results count as well."""
    generator = np.random.default_rng(1)
    complete = {"baseline": make_runs(9000, generator), "tried": make_runs(9050, generator)}
    correct = [seeds.correct(runs) for runs in complete.values()]
    assert LEVEL / 5 < compare(correct[0], correct[1], correct).p < LEVEL
    listed = make_experiments("baseline", "tried", "a", "b", "c", "d")
    (_, alone) = table.update([], listed, complete)
    assert alone.verdict.startswith("Better")
    before = [table.row(each, complete["tried"]) for each in listed[2:]]
    (_, tried, *others) = table.update(before, listed, complete)
    assert not tried.verdict.startswith("Better")
    assert (tried.low, tried.high) == (alone.low, alone.high)
    assert [row.verdict for row in others] == [table.EARLIER] * 4


def test_the_row_of_an_experiment_that_is_not_complete_is_kept_and_marked() -> None:
    generator = np.random.default_rng(1)
    listed = make_experiments("baseline", "wide", "deep")
    complete = {each.name: make_runs(9000 + 200 * at, generator) for at, each in enumerate(listed)}
    before = table.update([], listed, complete)
    assert [row.verdict for row in before] == [table.NOT_COMPARED, "Better", "Better"]
    del complete["wide"]
    baseline, wide, deep = table.update(before, listed, complete)
    assert (baseline, deep) == (before[0], before[2]._replace(low=deep.low, high=deep.high))
    assert wide == before[1]._replace(difference=0, low=0, high=0, verdict=table.EARLIER)
    listed[1] = listed[1].model_copy(update={"recipe": "another one"})
    assert [row.name for row in table.update(before, listed, complete)] == ["baseline", "deep"], "of other params"


@pytest.mark.parametrize(
    ("verdict", "label"),
    [
        ("Better", "better or worse than the baseline"),
        ("Worse, by less than 0.3 points", "better or worse than the baseline"),
        ("Undecided: too few images", "baseline, or no difference shown"),
        (table.NOT_COMPARED, "baseline, or no difference shown"),
        (table.EARLIER, "earlier result, not compared"),
    ],
)
def test_the_figure_distinguishes_verdicts(verdict: str, label: str) -> None:
    (each,) = make_experiments("wide")
    row = table.row(each, make_runs(9000, np.random.default_rng(1)))._replace(verdict=verdict)
    figure = table.figure([row], [])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [label]


def test_only_runs_of_the_current_code_count(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (baseline,) = make_experiments("baseline")
    correct = np.arange(8) < 6

    def set_code(prepare: str, train: str) -> str:
        Path("prepare.py").write_text(prepare)
        Path("train.py").write_text(train)
        stages = {name: {"deps": [f"{name}.py", str(paths.TEST_SPLIT)]} for name in ("prepare", "train")}
        paths.DVC_YAML.write_text(json.dumps({"stages": stages}))
        return seeds.code_of_working_tree()

    monkeypatch.setattr(table, "figure", lambda rows, references: Figure())

    def publish() -> int:
        return __main__.publish([baseline], plan.Plan(seeds=2, experiments={}, references=[]))

    code = set_code("a", "b")
    seeds.add(baseline.recipe, make_run(1, correct, code=code))
    assert publish() == 0
    assert table.read() == []
    seeds.add(baseline.recipe, make_run(2, correct, code=code))
    assert publish() == 1
    (row,) = table.read()
    assert (row.seeds, row.code, row.verdict) == (2, code, table.NOT_COMPARED)

    for prepare, train in (("a", "other"), ("other", "b")):
        set_code(prepare, train)
        assert publish() == 0
        assert table.read() == [row._replace(verdict=table.EARLIER)]
        assert "| baseline † |" in page.read_text()
        with pytest.raises(UserError, match="baseline was not trained with the current code and data yet; make exp"):
            __main__.repeat(baseline)
    set_code("a", "b")
    assert publish() == 1
    assert table.read() == [row]


@of_the_published_recipe
def test_the_committed_table_is_that_of_the_seeds() -> None:
    wanted, rows = plan.load(), table.read()
    listed = plan.experiments(wanted)
    complete = {each.name: runs for each in listed if len(runs := of_this_code(each.recipe)) >= wanted.seeds}
    expected = table.update(rows, listed, complete)
    message = "python -m experiments --table updates it"
    assert [list(row) for row in rows] == [pytest.approx(list(row), abs=1e-6) for row in expected], message
    assert table.markdown(rows) in paths.EXPERIMENTS_PAGE.read_text(encoding="utf-8"), message


@of_the_published_recipe
def test_the_recipes_are_in_the_record_of_their_selection() -> None:
    recorded = {row["recipe"] for row in search.read().to_dict("records")}
    selected = [each for each in plan.experiments(plan.load()) if each.name in ("three-epochs", "flipped")]
    assert {each.recipe for each in selected} <= recorded


def test_the_documented_selection_is_that_of_the_record() -> None:
    """Every question has a row on the page, with its accuracies, and others only of the same experiment."""
    runs = search.read()
    runs["accuracy"] = [f"{value:.2%}"[:-1] for value in runs["validation_accuracy"]]
    page = paths.EXPERIMENTS_PAGE.read_text(encoding="utf-8")
    answers = re.findall(r"^\| (([a-z-]+): .*\?) \| (.*) \|$", page, re.MULTILINE)
    assert {question for question, *_ in answers} == set(runs["question"])
    for question, experiment, answer in answers:
        quoted = set(re.findall(r"\d\d\.\d\d", answer))
        assert set(runs["accuracy"][runs["question"] == question]) <= quoted, question
        assert quoted <= set(runs["accuracy"][runs["question"].str.startswith(f"{experiment}:")]), question


@pytest.mark.parametrize(
    ("states", "starts"),
    [
        (["Queued"] * dvc_queue.PATIENCE + ["Success"], 1),
        (["Queued"] * (dvc_queue.PATIENCE + 1) + ["Success"], 2),
        (["Queued"] + ["Running"] * (dvc_queue.PATIENCE - 1) + ["Success"], 1),
    ],
)
def test_the_queue_is_started_again_if_its_worker_ends_early(
    monkeypatch: pytest.MonkeyPatch, states: list[str], starts: int
) -> None:
    commands = set_queue_without_workers(monkeypatch, states)
    assert [*dvc_queue._finished(None, {"run"}, jobs=2)] == ["run"]
    assert commands == [("queue", "start", "--jobs", "2")] * starts


@pytest.mark.parametrize(
    ("states", "starts"),
    [
        (["Queued"] + ["Running"] * dvc_queue.PATIENCE, 1),
        (["Queued"] * (dvc_queue.STARTS * dvc_queue.PATIENCE + 1), dvc_queue.STARTS),
    ],
)
def test_a_run_without_a_worker_and_workers_that_always_end_early_are_errors(
    monkeypatch: pytest.MonkeyPatch, states: list[str], starts: int
) -> None:
    commands = set_queue_without_workers(monkeypatch, states)
    with pytest.raises(UserError, match="the worker of DVC's queue has ended; the same command goes on where it was"):
        next(dvc_queue._finished(None, {"run"}, jobs=2))
    assert len(commands) == starts


def set_queue_without_workers(monkeypatch: pytest.MonkeyPatch, states: list[str]) -> list[tuple[str, ...]]:
    """Replace DVC's queue by one with a run whose state is the next of `states` at each poll.

    Returns the list of the dvc commands that will have been run.
    """
    polls, commands = iter(states), list[tuple[str, ...]]()
    monkeypatch.setattr(dvc_queue, "_states", lambda repo: {"run": next(polls)})
    monkeypatch.setattr(dvc_queue, "_workers", lambda repo: [])
    monkeypatch.setattr(dvc_queue, "dvc", lambda *command, quiet: commands.append(command))
    monkeypatch.setattr(dvc_queue, "POLL_SECONDS", 0)
    return commands


@pytest.fixture(scope="module")
def project(new_finished_project: Callable[[], Project]) -> Project:
    """A project with results, and two experiments with two seeds each."""
    project = new_finished_project()
    (project.folder / "experiments.yaml").write_text(EXAMPLE)
    project.git("commit", "-qam", "two experiments")
    return project


@pytest.mark.slow
def test_two_jobs_complete_the_table_and_a_second_call_adds_what_is_missing(project: Project) -> None:
    assert "0 of 2 experiments are complete" in project.run("make", "experiments", "JOBS=2").stdout
    kept = (project.folder / "metrics/experiments.csv").read_text()
    assert [line.split(",")[0] for line in kept.splitlines()] == ["name", "baseline", "flipped"]
    page = (project.folder / "docs/experiments.md").read_text()
    size, verdict = r"34,826 \| 2,025,088 \| 2 \| 1,080", r"\S+ \(\S+ to \S+\) (Better|Worse|Equivalent|Undecided)"
    assert re.search(rf"^\| baseline \| {size} \| .* \(2 seeds\) \| – \|", page, re.MULTILINE)
    assert re.search(rf"^\| flipped \| {size} \| .* \(2 seeds\) \| {verdict}.* \|", page, re.MULTILINE)

    before = project.snapshot()
    flipped = find_seeds(project, "flipped")
    flipped.write_text("".join(flipped.read_text().splitlines(keepends=True)[:-1]))
    assert "1 of 2 experiments are complete" in project.run("make", "experiments").stdout
    assert project.snapshot() == before


@pytest.mark.slow
def test_a_named_experiment_is_put_into_the_working_tree(project: Project) -> None:
    comments = (project.folder / "params.yaml").read_text().count("#")
    (project.folder / "experiments.yaml").write_text(EXAMPLE)
    assert "flipped is in the working tree" in project.run("make", "experiment", "NAME=flipped").stdout
    params = (project.folder / "params.yaml").read_text()
    assert "flip: true" in params
    assert params.count("#") == comments
    scores = json.loads((project.folder / paths.SCORES).read_text())
    run = pd.read_csv(find_seeds(project, "flipped"), index_col="seed").loc[1]
    assert scores["test"]["accuracy"] == pytest.approx(run["accuracy"], abs=1e-6)
    assert f"md5: {run['model']}" in (project.folder / "dvc.lock").read_text()
    project.git("checkout", "-q", "params.yaml", "dvc.lock", "metrics/evaluate.json")


@pytest.mark.slow
def test_a_search_is_recorded_and_classifies_no_test_image(project: Project) -> None:
    command = ("python", "-m", "experiments.search", "train.epochs=choice(1,2)", "--question", "How long?")
    printed = project.run(*command, "--experiment", "flipped").stdout
    assert "2 runs, of which 0 are recorded already" in printed
    shown = [float(each) for each in re.findall(r"train\.epochs=[12] +([01]\.\d+) ", printed)]
    assert len(shown) == 2
    assert shown == sorted(shown, reverse=True)
    rows = pd.read_csv(project.folder / paths.SEARCH)
    assert [*rows.columns] == [*search.COLUMNS]
    assert [*rows["changes"]] == [f"augment.flip=True train.epochs={epochs}" for epochs in (1, 2)]
    assert [*rows["question"].unique()] == ["How long?"]
    assert rows["model"].nunique() == 2
    refs = project.git("for-each-ref", "--format=%(refname)", "refs/exps/*/*/train.epochs-*").split()
    assert len(refs) == 2
    for ref in refs:
        assert project.git("diff", "--name-only", "HEAD", ref, "--", "metrics/evaluate.json") == ""
    again = project.run(*command, "--experiment", "flipped").stdout
    assert "2 runs, of which 2 are recorded already" in again
    assert len(pd.read_csv(project.folder / paths.SEARCH)) == 2

    fractions = "prepare.validation_fraction=choice(1.0e-9,0.2)"
    failing = project.run("python", "-m", "experiments.search", fractions, "--question", "How many?", check=False)
    assert failing.returncode == 1
    assert re.search(r"^ *prepare\.validation_fraction=0\.2 +[01]\.\d+ ", failing.stdout, re.MULTILINE)
    assert re.search(
        "^error: experiments.search: prepare.validation_fraction-1.*e-.* failed", failing.stderr, re.MULTILINE
    )


@pytest.mark.slow
def test_a_change_of_the_code_makes_results_earlier_ones(project: Project) -> None:
    """The next test trains with the changed code, which is not committed."""
    with (project.folder / "stages/evaluate.py").open("a") as code:
        code.write("# the same results\n")
    assert "0 of 2 experiments are complete" in project.run(*ONLY_TABLE).stdout
    assert "| flipped † |" in (project.folder / paths.EXPERIMENTS_PAGE).read_text()


@pytest.mark.slow
def test_a_failed_experiment_does_not_end_the_others_and_its_log_is_kept(project: Project) -> None:
    listed = (
        "seeds: 2\nexperiments:\n"
        "  empty: {prepare: {validation_fraction: 1.0e-9}}\n  small: {evaluate: {batch_size: 500}}\nreferences: []\n"
    )
    (project.folder / "experiments.yaml").write_text(listed)
    result = project.run("make", "experiments", "JOBS=2", check=False)
    assert result.returncode
    failed = re.search(r"error: experiments: (seed-\d-of-\w+), seed-\d-of-\w+ failed; dvc queue logs", result.stderr)
    assert failed
    assert "for training and 0 for validation" in project.dvc("queue", "logs", failed[1])
    assert "| small | 34,826 | 2,025,088 | 2 |" in (project.folder / "docs/experiments.md").read_text()


@pytest.mark.slow
def test_runs_of_others_in_the_queue_are_neither_run_nor_ended(project: Project) -> None:
    project.dvc("exp", "run", "--queue", "--name", "mine", "-S", "train.epochs=1")
    listed = "seeds: 2\nexperiments:\n  new: {train: {epochs: 7}}\nreferences: []\n"
    (project.folder / "experiments.yaml").write_text(listed)
    result = project.run("python", "-m", "experiments", check=False)
    status = project.dvc("queue", "status")
    project.dvc("queue", "remove", "--queued")
    assert result.returncode == 1
    assert "error: experiments: DVC's queue has other runs: mine; dvc exp run --run-all finishes them" in result.stderr
    assert re.search(r"mine .* Queued", status)


@pytest.mark.slow
def test_an_interrupted_experiment_leaves_the_branch_and_the_changes_of_the_user(project: Project) -> None:
    listed = "seeds: 2\nexperiments:\n  long: {train: {epochs: 10_000}}\nreferences: []\n"
    (project.folder / "experiments.yaml").write_text(listed)
    branch = project.git("symbolic-ref", "HEAD")
    command = (sys.executable, "-m", "experiments.apply", "long")
    with project.start(*command, stdout=subprocess.DEVNULL, preexec_fn=restore_signals) as run:
        wait_until(lambda: (project.folder / paths.CHECKPOINT).exists())
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        run.wait(timeout=120)
    assert run.returncode == 130
    assert project.git("symbolic-ref", "HEAD") == branch
    assert project.git("stash", "list") == ""
    assert (project.folder / "experiments.yaml").read_text() == listed
    (project.folder / paths.CHECKPOINT).unlink()
    project.git("checkout", "-q", "params.yaml")


@pytest.mark.slow
@pytest.mark.parametrize("stop", ["SIGTERM", "SIGKILL of the worker and its runs"])
def test_stopped_trainings_end_and_the_next_call_continues_them_with_the_same_bits(project: Project, stop: str) -> None:
    name, rate = ("interrupted", 0.001) if stop == "SIGTERM" else ("killed", 0.002)
    listed = f"experiments:\n  {name}: {{train: {{epochs: 40, learning_rate: {rate}}}}}\nreferences: []\n"
    (project.folder / "experiments.yaml").write_text(f"seeds: 3\n{listed}")
    with subprocess.Popen(
        [sys.executable, "-m", "experiments", "--jobs", "2"], cwd=project.folder, stderr=subprocess.PIPE, text=True,
        preexec_fn=restore_signals,
    ) as run:  # fmt: skip
        wait_until(lambda: len([*project.folder.glob(".dvc/tmp/checkpoints/*.checkpoint")]) == 2)
        assert count_trainings(project) == 2
        if stop == "SIGTERM":
            for process, command in find_processes(project):
                if "queue-worker" in command:
                    process.suspend()  # as workers that take no notice of signals, after some hours
            run.send_signal(signal.SIGTERM)  # is treated as Ctrl-C
        else:
            for process in find_queue(project):
                process.kill()
        _, errors = run.communicate(timeout=120)
    assert run.returncode == (130 if stop == "SIGTERM" else 1)
    assert ("experiments: interrupted" if stop == "SIGTERM" else "the worker of DVC's queue has ended") in errors
    wait_until(lambda: not find_queue(project))
    states = [*project.folder.glob(".dvc/tmp/checkpoints/*")]
    assert len([state for state in states if state.suffix == ".checkpoint"]) == 2
    if stop == "SIGTERM":  # what the next call finds is the same as after the harder case, where it is made
        assert len(states) == 2, "a temporary file is left"
        assert not [*project.folder.glob(".dvc/tmp/exps/tmp*")], "a copy of the project is left"
        assert not re.search("seed-3|Queued|Running", project.dvc("queue", "status"))
        for state in states:
            state.unlink()
        return
    (project.folder / "experiments.yaml").write_text(f"seeds: 2\n{listed}")  # without the run that had not begun
    project.run("make", "experiments", "JOBS=2")
    for seed in (1, 2):
        log = project.run("dvc", "queue", "logs", f"seed-{seed}-of-{find_seeds(project, name).stem}").stdout
        assert "going on after epoch" in log
    assert "seed-3" not in project.dvc("queue", "status")
    assert not [*project.folder.glob(".dvc/tmp/exps/tmp*")], "a copy of the project is left"
    # A training that was killed in writing its checkpoint leaves the temporary file
    assert not [*project.folder.glob(".dvc/tmp/checkpoints/*.checkpoint")]
    assert f"| {name} | 34,826 | 2,025,088 | 40 |" in (project.folder / "docs/experiments.md").read_text()
    check_again(project, name)


def check_again(project: Project, experiment: str) -> None:
    """Repeat a training, alone and without an interruption: it has the same bits.

    Only the loss, which is altered in the table before, is another one.
    """
    path = find_seeds(project, experiment)
    runs = pd.read_csv(path, dtype=str)
    runs.loc[0, "loss"] = "9.0"
    runs.to_csv(path, index=False)
    failed = project.run("python", "-m", "experiments", "--again", experiment, check=False)
    assert failed.returncode == 1
    assert f"error: experiments: {experiment} has other results: loss differ from metrics/seeds/" in failed.stderr


def find_queue(project: Project) -> list[psutil.Process]:
    """The workers of DVC's queue in the project, and their runs."""
    return [
        process
        for process, command in find_processes(project)
        if {"queue-worker", "exec-run"} & set(command) or is_training(command)
    ]


def count_trainings(project: Project) -> int:
    """Count the trainings that run in the project or in a copy of it that DVC made below its folder."""
    return sum(is_training(command) for _, command in find_processes(project))


def find_processes(project: Project) -> Iterator[tuple[psutil.Process, list[str]]]:
    """The processes that run in the project or below its folder, with their command lines."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if str(process.info["cwd"]).startswith(str(project.folder)):
            yield process, process.info["cmdline"] or []


def find_seeds(project: Project, experiment: str) -> Path:
    """The table of the seeds of an experiment in the table of experiments."""
    rows = (project.folder / paths.EXPERIMENTS_TABLE).read_text().splitlines()
    (recipe,) = [row.split(",")[1] for row in rows if row.startswith(f"{experiment},")]
    return project.folder / paths.SEEDS / f"{recipe}.csv"
