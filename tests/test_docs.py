"""README.md and docs/*.md quote the committed results; the files, targets and modules that they mention exist."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from classifier.notation import percent
from classifier.params import load_yaml
from experiments import table
from experiments.seeds import of_this_code
from project import seeds
from project.text import mean_and_sd
from tests.conftest import ROOT, of_the_published_recipe

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
MAX_LINES = 140  # of the README


def read(page: Path) -> str:
    """The text of a file."""
    return page.read_text(encoding="utf-8")


def unwrap(text: str) -> str:
    """Remove the line breaks within paragraphs and quotations."""
    return " ".join(text.replace("\n> ", "\n").split())


def code_blocks(text: str, language: str) -> list[str]:
    """The content of each code block in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def page(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_the_readme_is_short() -> None:
    assert len(read(README).splitlines()) <= MAX_LINES


def test_the_readme_links_to_every_page() -> None:
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)\)", read(README)))
    assert linked == {str(page.relative_to(ROOT)) for page in PAGES if page != README}


def test_links_and_images_exist(page: Path) -> None:
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", read(page)) if "://" not in target]
    for target in targets:
        assert (page.parent / target.partition("#")[0]).exists(), f"{page.name} refers to {target}"


def test_make_targets_exist(page: Path) -> None:
    makefile = read(ROOT / "Makefile")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    extras = re.search(r"^EXTRAS := (.*)$", makefile, re.MULTILINE)
    assert extras is not None
    targets |= {f"extra-{name}" for name in extras[1].split()}
    text = read(page)
    commands = re.findall(r"`make ([a-z][a-z0-9-]*)", text)
    commands += [
        name for block in code_blocks(text, "sh") for name in re.findall(r"^make ([a-z][a-z0-9-]*)", block, re.M)
    ]
    assert set(commands) <= targets


def test_modules_in_commands_exist(page: Path) -> None:
    for module in set(re.findall(r"python -m ([a-z_.]+[a-z_])", read(page))):
        package = find_spec(module)
        assert package is not None, module
        if package.submodule_search_locations is not None:
            assert find_spec(f"{module}.__main__") is not None, module


def test_files_in_the_layout_exist() -> None:
    (tree,) = code_blocks(read(ROOT / "docs/layout.md"), "text")
    folder = ROOT
    for line in tree.splitlines():
        names = line[:23].strip().split(", ")
        if not line.startswith(" ") and names[0].endswith("/"):
            folder = ROOT / names[0]
        for name in names:
            assert ((folder if line.startswith(" ") else ROOT) / name).exists(), line


def test_every_module_is_in_the_layout() -> None:
    (tree,) = code_blocks(read(ROOT / "docs/layout.md"), "text")
    for package in ("stages", "classifier", "project", "review", "experiments", "pictures"):
        section = re.search(rf"^{package}/.*\n((?:  .*\n)+)", tree, re.MULTILINE)
        assert section is not None
        named = {name for line in section[1].splitlines() for name in line[:23].strip().split(", ")}
        assert named == {path.name for path in (ROOT / package).glob("*.py")}


@of_the_published_recipe
def test_the_readme_quotes_the_committed_metrics() -> None:
    readme = read(README)
    for split, scores in json.loads(read(ROOT / "metrics/evaluate.json")).items():
        macro = " | ".join(f"{scores[name]:.4f}" for name in ("precision", "recall", "f1"))
        assert f"| {split} | {scores['loss']:.4f} | {percent(scores['accuracy'])} | {macro} |" in readme


@of_the_published_recipe
def test_the_readme_quotes_the_accuracy_of_the_committed_params_over_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    accuracy = of_this_code(seeds.recipe(load_yaml(ROOT / "params.yaml")))["accuracy"]
    assert mean_and_sd(accuracy.mean(), accuracy.std(), len(accuracy)) in unwrap(read(README))


@of_the_published_recipe
def test_the_readme_quotes_the_highest_accuracy_of_the_experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    best = max(table.read(), key=lambda row: row.accuracy)
    assert mean_and_sd(best.accuracy, best.accuracy_sd, best.seeds) in unwrap(read(README))


def test_the_readme_quotes_the_verdict_of_the_example_review() -> None:
    readme = read(README)
    heading, _, verdict, *_ = read(ROOT / "docs/review/report.md").splitlines()
    assert "python -m review " + heading.removeprefix("# Review: ").replace(" → ", " ") in readme
    assert verdict in unwrap(readme)


@of_the_published_recipe
def test_the_page_of_experiments_quotes_the_committed_table_and_its_differences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    rows = {row.name: row for row in table.read()}
    text = read(ROOT / "docs/experiments.md")
    assert table.markdown(list(rows.values())) in text
    text = unwrap(text)

    def format_points(name: str, other: str, score: str = "accuracy", decimals: int = 2) -> str:
        return f"{100 * abs(getattr(rows[name], score) - getattr(rows[other], score)):.{decimals}f} points"

    for name, other in (
        ("three-epochs", "baseline"), ("five-epochs", "baseline"), ("flipped", "baseline"),
        ("flipped-simple", "flipped"), ("resnet", "flipped"), ("resnet-long", "resnet"),
    ):  # fmt: skip
        assert format_points(name, other) in text
    assert format_points("flipped-simple", "flipped", "validation_accuracy", 1) in text
    runs = {name: of_this_code(rows[name].recipe) for name in ("resnet", "resnet-long")}
    gaps = [100 * (found["confidence"] - found["accuracy"]).mean() for found in runs.values()]
    assert (
        f"the mean confidence of `resnet` exceeds its accuracy by {gaps[0]:.1f} points, and that of `resnet-long` by "
        f"{gaps[1]:.1f} points"
    ) in text
    for name, other in (("resnet", "flipped"), ("resnet-long", "resnet")):
        assert f"for {rows[name].compute / rows[other].compute:.1f} times its training compute" in text
    for name in rows.keys() - {"baseline"}:
        assert f"{percent(rows[name].accuracy)} by `{name}`" in text
    accuracies = [f"{100 * accuracy:.2f}" for accuracy in runs["resnet-long"]["accuracy"]]
    assert f"{', '.join(accuracies[:-1])} and {accuracies[-1]} %" in text


def console_commands() -> Iterator[tuple[str, list[str]]]:
    """The commands in the `console` blocks of all pages, each with the lines of output that the page shows.

    The commands that change files are not included; test_walk.py runs them.
    """
    for page in PAGES:
        for block in code_blocks(read(page), "console"):
            for session in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, *lines = session.splitlines()
                if command not in ("dvc repro", "dvc plots show"):
                    yield command, lines


@pytest.mark.parametrize(("command", "lines"), list(console_commands()))
def test_commands_print_what_the_pages_show(command: str, lines: list[str]) -> None:
    shallow = ["git", "rev-parse", "--is-shallow-repository"]
    if subprocess.run(shallow, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip() == "true":
        pytest.skip("needs the history: git fetch --unshallow")
    program, *arguments = shlex.split(command)
    assert program == "dvc"
    result = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    printed = [line.rstrip() for line in result.stdout.splitlines()]
    shown = [line for line in lines if line != "…"]
    assert [line for line in printed if line in shown] == shown
