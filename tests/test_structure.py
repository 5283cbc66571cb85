"""dvc.yaml tells the truth: what a stage imports, reads and writes is what it declares, so dvc.lock cannot lie."""

import ast
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

from review.revisions import recipe, seed_rows
from tests.conftest import DVC_YAML, ROOT, STAGES

PACKAGES = ("stages", "classifier", "review", "experiments", "benchmarks", "tests")


def paths(entries: list[Any]) -> list[str]:
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def outputs(stage: dict[str, Any]) -> list[Any]:
    return [*stage.get("outs", []), *stage.get("metrics", [])]


def imported(file: Path) -> set[Path]:
    """The project's modules that a file imports anywhere in it, functions included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    modules = {ROOT / (name.replace(".", "/") + ".py") for name in names if name.split(".")[0] in PACKAGES}
    return {module for module in modules if module.exists()}


def needed(file: Path) -> set[str]:
    """A file and all of the project's modules that it imports, directly or not."""
    found, new = {file}, {file}
    while new:
        new = set().union(*map(imported, new)) - found
        found |= new
    return {str(module.relative_to(ROOT)) for module in found}


def params_read(file: Path) -> set[str]:
    """The dotted params that a stage reads from `params`, as long as the code spells them out."""
    tree = ast.parse(file.read_text())
    chains = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    chains = {chain.removeprefix("params.") for chain in chains if chain.startswith("params.")}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "load_params"]
    named = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node) == "params = load_params()"
    ]
    assert len(calls) == len(named) == 1, "write params = load_params(), so that this test can follow it"
    return {chain for chain in chains if not any(other.startswith(chain + ".") for other in chains)}


def test_every_stage_has_a_script_of_its_name_and_every_script_a_stage() -> None:
    assert {path.stem for path in (ROOT / "stages").glob("*.py")} == set(STAGES)
    for name, stage in STAGES.items():
        assert stage["cmd"].startswith(f"python -m stages.{name} ")


@pytest.mark.parametrize("name", STAGES)
def test_the_modules_a_stage_imports_are_its_deps(name: str) -> None:
    declared = {dep for dep in STAGES[name]["deps"] if dep.endswith(".py")}
    assert declared == needed(ROOT / "stages" / f"{name}.py")


@pytest.mark.parametrize("name", STAGES)
def test_the_params_a_stage_reads_are_declared(name: str) -> None:
    declared = set(STAGES[name]["params"])
    read = params_read(ROOT / "stages" / f"{name}.py")
    for key in read:
        assert any(key == param or key.startswith(param + ".") for param in declared), f"{key} is read, not declared"
    for param in declared:
        assert any(key == param or key.startswith(param + ".") for key in read), f"{param} is declared, not read"


@pytest.mark.parametrize("name", STAGES)
def test_a_stages_command_names_its_deps_and_outs(name: str) -> None:
    stage = STAGES[name]
    data = [dep for dep in stage["deps"] if not dep.endswith(".py")] + paths(outputs(stage))
    named = [word for word in shlex.split(stage["cmd"])[3:] if not word.startswith("--")]
    for word in named:
        assert any(path == word or path.startswith(word + "/") for path in data), f"{word} is neither dep nor out"
    for path in data:
        assert any(path == word or path.startswith(word + "/") for word in named), f"{path} is not in the command"


def test_metrics_and_plots_are_outs_kept_in_git_and_the_rest_is_in_the_cache() -> None:
    made = [out for stage in STAGES.values() for out in outputs(stage)]
    kept = {path for out in made if isinstance(out, dict) for path in out}
    cached = {out for out in made if isinstance(out, str)}
    assert {path.split("/")[0] for path in kept} == {"metrics", "plots"}
    assert {path.split("/")[0] for path in cached} == {"data", "models"}
    shown = set()
    for plot in DVC_YAML["plots"]:
        plot = {plot: None} if isinstance(plot, str) else plot
        ((name, config),) = plot.items()
        shown |= set(config["y"]) if config and isinstance(config["y"], dict) else {name}
    assert shown <= kept


def test_a_training_is_kept_in_the_run_cache() -> None:
    assert [out for out in STAGES["train"]["outs"] if isinstance(out, dict)] == []


def test_only_evaluate_depends_on_the_test_split() -> None:
    readers = {name for name, stage in STAGES.items() if "data/prepared/test" in stage["deps"]}
    assert readers == {"evaluate"}
    whole = {name for name, stage in STAGES.items() if "data/prepared" in stage["deps"]}
    assert not whole


def test_tensorflow_sleeps_until_a_stage_has_settled_the_runtime() -> None:
    modules = ", ".join(f"stages.{name}" for name in STAGES)
    program = f"import sys, {modules}; sys.exit(bool({{'tensorflow', 'keras'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_arrows_run_from_stages_to_the_classifier_and_never_back() -> None:
    for file in (ROOT / "classifier").glob("*.py"):
        assert {path.split("/")[0] for path in needed(file)} == {"classifier"}
    for file in (ROOT / "stages").glob("*.py"):
        assert {path for path in needed(file) if path.startswith("stages/")} == {f"stages/{file.name}"}
    for file in (ROOT / "review").glob("*.py"):
        assert {path.split("/")[0] for path in needed(file)} <= {"review", "classifier"}
    for file in (ROOT / "experiments").glob("*.py"):
        assert not {"stages", "tests"} & {path.split("/")[0] for path in needed(file)}


def test_the_readme_quotes_the_committed_metrics() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for split, scores in json.loads((ROOT / "metrics/evaluate.json").read_text()).items():
        macro = " | ".join(f"{scores[name]:.4f}" for name in ("precision", "recall", "f1"))
        assert f"| {split} | {scores['loss']:.4f} | {scores['accuracy']:.2%} | {macro} |" in readme


def test_the_committed_model_is_that_of_its_seed_in_the_table_of_seeds() -> None:
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    runs = seed_rows(ROOT / f"metrics/seeds/{recipe(params)}.csv").set_index("seed")
    outs = YAML(typ="safe").load(ROOT / "dvc.lock")["stages"]["train"]["outs"]
    (model,) = [out["md5"] for out in outs if out["path"] == "models/model.keras"]
    assert runs["model"][params["train"]["seed"]] == model


def test_the_readme_quotes_the_seeds_of_the_committed_params_and_the_example_of_a_review() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    name = recipe(YAML(typ="safe").load(ROOT / "params.yaml"))
    accuracy = pd.read_csv(ROOT / f"metrics/seeds/{name}.csv", index_col="seed")["accuracy"]
    assert f"{100 * accuracy['mean']:.2f} ± {100 * accuracy['standard deviation']:.2f} %" in readme
    heading, _, verdict, *_ = (ROOT / "docs/review/report.md").read_text(encoding="utf-8").splitlines()
    assert "python -m review " + heading.removeprefix("# Review: ").replace(" → ", " ") in readme
    assert verdict in " ".join(readme.replace("\n> ", "\n").split())
