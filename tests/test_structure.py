"""dvc.yaml declares the modules, params, inputs and outputs of each stage; packages import in one direction only."""

import ast
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from project import paths as project_paths
from project import seeds
from review.caveats import ENVIRONMENT
from tests.conftest import DVC_YAML, ROOT, STAGES, of_the_published_recipe

PACKAGES = ("stages", "classifier", "project", "review", "experiments", "pictures", "benchmarks", "tools", "tests")


def paths(entries: list[Any]) -> list[str]:
    """The paths of outputs, each of which dvc.yaml gives as a path or as a mapping from it to options."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def outputs(stage: dict[str, Any]) -> list[Any]:
    return [*stage.get("outs", []), *stage.get("metrics", [])]


@cache
def find_imports(file: Path) -> set[Path]:
    """The modules of the project that a file imports, at its top level or in functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    modules = {ROOT / (name.replace(".", "/") + ".py") for name in names if name.split(".")[0] in PACKAGES}
    return {module for module in modules if module.exists()}


def find_dependencies(file: Path) -> set[str]:
    """A file and all modules of the project that it imports, directly or indirectly."""
    found, new = {file}, {file}
    while new:
        new = set().union(*map(find_imports, new)) - found
        found |= new
    return {str(module.relative_to(ROOT)) for module in found}


def find_params(file: Path) -> set[str]:
    """The dotted names of the params that a stage reads as attributes of `params`."""
    tree = ast.parse(file.read_text())
    chains = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    chains = {chain.removeprefix("params.") for chain in chains if chain.startswith("params.")}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "load_params"]
    named = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node) == "params = load_params()"
    ]
    assert len(calls) == len(named) == 1, "write params = load_params(), so that this test finds the params"
    return {chain for chain in chains if not any(other.startswith(chain + ".") for other in chains)}


def test_every_stage_has_a_script_of_its_name_and_every_script_is_a_stage() -> None:
    assert {path.stem for path in (ROOT / "stages").glob("[!_]*.py")} == set(STAGES)
    for name, stage in STAGES.items():
        assert stage["cmd"].startswith(f"python -m stages {name} ")


@pytest.mark.parametrize("name", STAGES)
def test_the_modules_a_stage_imports_are_its_deps(name: str) -> None:
    declared = {dep for dep in STAGES[name]["deps"] if dep.endswith(".py")}
    assert declared == find_dependencies(ROOT / "stages" / f"{name}.py")


@pytest.mark.parametrize("name", STAGES)
def test_the_params_a_stage_reads_are_declared(name: str) -> None:
    declared = set(STAGES[name]["params"])
    read = find_params(ROOT / "stages" / f"{name}.py")
    for key in read:
        assert any(key == param or key.startswith(param + ".") for param in declared), f"{key} is read, not declared"
    for param in declared:
        assert any(key == param or key.startswith(param + ".") for key in read), f"{param} is declared, not read"


@pytest.mark.parametrize("name", STAGES)
def test_the_command_of_a_stage_names_its_deps_and_outs(name: str) -> None:
    stage = STAGES[name]
    data = [dep for dep in stage["deps"] if not dep.endswith(".py")] + paths(outputs(stage))
    words = shlex.split(stage["cmd"])[4:]
    named = [word for option, word in zip(words[::2], words[1::2], strict=True) if option != "--checkpoint"]
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


def test_the_outputs_of_training_are_in_the_run_cache() -> None:
    assert [out for out in STAGES["train"]["outs"] if isinstance(out, dict)] == []


def test_only_evaluate_depends_on_the_test_split() -> None:
    readers = {name for name, stage in STAGES.items() if "data/prepared/test" in stage["deps"]}
    assert readers == {"evaluate"}
    readers_of_all_splits = {name for name, stage in STAGES.items() if "data/prepared" in stage["deps"]}
    assert not readers_of_all_splits


def test_no_stage_imports_tensorflow_before_the_runtime_is_set() -> None:
    modules = ", ".join(f"stages.{name}" for name in STAGES)
    program = f"import sys, {modules}; sys.exit(bool({{'tensorflow', 'keras'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


ALLOWED = {  # the packages that the modules of a package may import, directly or indirectly
    "classifier": {"classifier"},
    "stages": {"stages", "classifier"},
    "project": {"project", "classifier"},
    "review": {"review", "project", "classifier"},
    "experiments": {"experiments", "project", "classifier"},
    "pictures": {"pictures", "stages", "project", "classifier"},
    "benchmarks": {"benchmarks", "project", "classifier"},
    "tools": {"tools", "project", "classifier"},
}


@pytest.mark.parametrize("package", ALLOWED)
def test_packages_import_only_the_allowed_packages(package: str) -> None:
    modules = [path for path in (ROOT / package).glob("*.py") if path != ROOT / "stages/__main__.py"]
    for module in modules:
        found = {path.split("/")[0] for path in find_dependencies(module)}
        assert found <= ALLOWED[package], module
    assert modules


def test_no_stage_imports_another_or_the_module_that_runs_it() -> None:
    for name in STAGES:
        used = {path for path in find_dependencies(ROOT / f"stages/{name}.py") if path.startswith("stages/")}
        assert used == {f"stages/{name}.py"}
    assert {path.split("/")[0] for path in find_dependencies(ROOT / "stages/__main__.py")} == {
        "stages",
        "classifier",
        "project",
    }


def test_a_review_notes_changes_of_all_code_that_stages_run_with() -> None:
    code = {dep for stage in STAGES.values() for dep in stage["deps"]}
    used = find_dependencies(ROOT / "stages/__main__.py")
    assert used - code == {path for path in ENVIRONMENT if path.endswith(".py") and not path.startswith(":")}
    assert not [*ROOT.glob("*.py"), *ROOT.glob("*/__init__.py")]


def test_no_module_is_named_like_one_of_the_standard_library() -> None:
    names = {path.stem for package in PACKAGES for path in (ROOT / package).glob("*.py")} - {"__main__", "__init__"}
    assert not names & sys.stdlib_module_names


def test_changes_of_reviews_experiments_and_the_command_line_make_no_result_stale() -> None:
    code = {dep for stage in STAGES.values() for dep in stage["deps"] if dep.endswith(".py")}
    assert {path.split("/")[0] for path in code} == {"stages", "classifier"}
    assert "stages/__main__.py" not in code


def test_every_module_of_the_classifier_is_run_by_a_stage() -> None:
    code = {dep for stage in STAGES.values() for dep in stage["deps"] if dep.startswith("classifier/")}
    assert code == {f"classifier/{path.name}" for path in (ROOT / "classifier").glob("*.py")}


def test_the_paths_of_results_are_those_of_dvc_yaml() -> None:
    made = {path for stage in STAGES.values() for path in paths(outputs(stage))}
    stages = ("RAW", "TRAINING_SPLIT", "VALIDATION_SPLIT", "TEST_SPLIT", "MODEL", "TRAINING_SUMMARY", "SCORES",
              "PREDICTIONS", "HISTORY", "MISTAKES")  # fmt: skip
    assert {str(getattr(project_paths, name)) for name in stages} <= made


@of_the_published_recipe
def test_the_committed_model_has_the_hash_that_the_table_of_seeds_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    runs = seeds.read(seeds.recipe(params)).set_index("seed")
    outs = YAML(typ="safe").load(ROOT / "dvc.lock")["stages"]["train"]["outs"]
    (model,) = [out["md5"] for out in outs if out["path"] == "models/model.keras"]
    assert runs["model"][params["train"]["seed"]] == model
