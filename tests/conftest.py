"""Shared fixtures: temporary projects with the files of the working tree, a git repository and a tiny dataset."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright
from ruamel.yaml import YAML

from classifier.params import load_yaml
from project import seeds
from tests import idx

ROOT = Path(__file__).parents[1]
SLOWEST_FILES = (
    "test_experiments.py", "test_faults.py", "test_arithmetic.py", "test_verify.py", "test_walk.py", "test_cluster.py",
    "test_storage.py", "test_failures.py", "test_pictures.py", "test_review.py", "test_determinism.py",
    "test_platforms.py", "test_pipeline.py", "test_checkpoint.py",
)  # fmt: skip
PUBLISHED = "7089b6d70fc0"  # the recipe of the results that README.md and docs/ quote
of_the_published_recipe = pytest.mark.skipif(
    seeds.recipe(load_yaml(ROOT / "params.yaml")) != PUBLISHED,
    reason="README.md and docs/ quote results of another recipe than that of params.yaml",
)
CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DVC_YAML: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")
STAGES: dict[str, Any] = DVC_YAML["stages"]
LONGEST = 300  # seconds that a command which a test starts may take
RESULTS = ("dvc.lock", "metrics", "plots")  # the results of the real dataset, which projects do not get


class Project:
    """A folder that contains the whole project, with methods that run commands there as a user would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command in the project's folder and capture its output; if `check` is set, it must succeed."""
        result = subprocess.run(command, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if check and result.returncode:
            pytest.fail(f"{' '.join(command)} exited with {result.returncode}:\n{result.stdout}\n{result.stderr}")
        return result

    @contextmanager
    def start(self, *command: str, stdout: int = subprocess.PIPE, **options: Any) -> Iterator["subprocess.Popen[str]"]:
        """Start a command in a process group of its own, which is killed at the end of the block, or after LONGEST.

        Its output can be read while it runs. options: of subprocess.Popen.
        """
        with subprocess.Popen(
            command, cwd=self.folder, stdout=stdout, text=True, start_new_session=True, **options
        ) as run:
            timer = threading.Timer(LONGEST, os.killpg, [run.pid, signal.SIGKILL])
            timer.start()
            try:
                yield run
            finally:
                timer.cancel()
                with suppress(ProcessLookupError):
                    os.killpg(run.pid, signal.SIGKILL)

    def dvc(self, *arguments: str, check: bool = True) -> str:
        """Run dvc and return its standard output."""
        return self.run(sys.executable, "-m", "dvc", *arguments, check=check).stdout

    def git(self, *arguments: str) -> str:
        """Run git, which must succeed, and return its standard output without surrounding whitespace."""
        return self.run("git", *arguments).stdout.strip()

    def run_stage(self, command: str, *prefix: str) -> "subprocess.CompletedProcess[str]":
        """Run the command of a stage, after a prefix such as `taskset -c 0` if given; it may fail."""
        return self.run(*prefix, sys.executable, *command.split()[1:], check=False)

    def set_params(self, **values: object) -> None:
        """Set values in params.yaml, given as section__key=value."""
        yaml = YAML()
        path = self.folder / "params.yaml"
        content = yaml.load(path)
        for name, value in values.items():
            *sections, key = name.split("__")
            block = content
            for section in sections:
                block = block[section]
            block[key] = value
        yaml.dump(content, path)

    def snapshot(self) -> dict[str, str]:
        """The SHA-256 of each file by its path, without the files in .git, .dvc and __pycache__."""
        files = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())
        kept = (file for file in files if file.parts[0] not in (".git", ".dvc") and "__pycache__" not in file.parts)
        return {str(file): hashlib.sha256((self.folder / file).read_bytes()).hexdigest() for file in kept}


def is_untested_cpu() -> bool:
    """Whether no real CPU of this kind has been tested: docs/reproducibility.md promises less for these.

    Those are CPUs of Intel, which were emulated only, and of AMD with another size of the L1 cache than 32 kB.
    """
    cpuinfo, cache = Path("/proc/cpuinfo"), Path("/sys/devices/system/cpu/cpu0/cache/index0/size")
    amd = cpuinfo.exists() and "AuthenticAMD" in cpuinfo.read_text()
    return not amd or (cache.exists() and cache.read_text().strip() != "32K")


def is_training(command: list[str] | None) -> bool:
    """Whether the command line of a process (None if it is unknown) is that of the stage train."""
    return (command or [])[1:4] == ["-m", "stages", "train"]


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until a condition is true; fail if it is not true after the given number of seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def restore_signals() -> None:
    """Do not ignore SIGINT, as processes in the background do, nor SIGHUP, as those that nohup starts do."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def require(program: str | None, package: str) -> str:
    """Return the path of a system program. If it is missing, fail the test in CI and skip it elsewhere."""
    if program:
        return program
    if os.environ.get("CI"):
        pytest.fail(f"CI must have {package}")
    pytest.skip(f"needs {package}: apt-get install {package}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest files first, so that both workers finish at about the same time."""
    rank = {name: position for position, name in enumerate(SLOWEST_FILES)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


@pytest.fixture(autouse=True, scope="session")
def environment() -> None:
    set_environment()


def set_environment() -> None:
    """Put the running Python first on PATH, as in an activated environment, and set an identity for git commits."""
    os.environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    os.environ |= {
        f"GIT_{role}_{key}": "test@example.org" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")
    }
    os.environ.pop("DATASET_SOURCES", None)


@pytest.fixture(autouse=True)
def fast_correction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the garbage collection that statsmodels starts for each correction of p-values, of 0.1 s and more."""
    monkeypatch.setattr("gc.collect", lambda *arguments: 0)


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, str]]]:
    """The folder of a tiny dataset, and its entries for dataset.files in params.yaml."""
    folder = tmp_path_factory.mktemp("dataset")
    return folder, idx.write_dataset(folder)


@pytest.fixture(scope="session")
def new_project(
    tmp_path_factory: pytest.TempPathFactory, tiny_dataset: tuple[Path, dict[str, dict[str, str]]]
) -> Callable[[], Project]:
    """A function that creates a project without results, for a short training on the tiny dataset."""
    return lambda: make_project(tmp_path_factory.mktemp("project"), *tiny_dataset)


@pytest.fixture(scope="session")
def new_finished_project(
    tmp_path_factory: pytest.TempPathFactory, new_project: Callable[[], Project]
) -> Callable[[], Project]:
    """A function that creates a project with committed results: a copy of one in which the pipeline was run once."""
    original = new_project()
    original.dvc("repro")
    original.git("add", ".")
    original.git("commit", "-qm", "results")

    def copy() -> Project:
        folder = tmp_path_factory.mktemp("project")
        return Project(shutil.copytree(original.folder, folder, symlinks=True, dirs_exist_ok=True))

    return copy


def make_project(target: Path, dataset: Path, files: dict[str, dict[str, str]]) -> Project:
    """Create a project without results, for a short training, in an existing folder, and commit it on main.

    dataset: the folder of the dataset. files: its entries for dataset.files in params.yaml.
    """
    project = Project(target)
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in tracked.stdout.splitlines():
        if not name.startswith(RESULTS) and (ROOT / name).exists():
            (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, project.folder / name)
    project.set_params(
        dataset__files=files, dataset__sources=[str(dataset)], dataset__classes=CLASSES,
        model__architecture="cnn", model__dropout=0.5, train__learning_rate=0.001, augment__flip=False,
        train__epochs=2, train__batch_size=32,
    )  # fmt: skip
    environment = project.folder / ".venv"  # make finds the environment of the tests here
    environment.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (environment / name).symlink_to(Path(sys.prefix) / name)
    (environment / "installed").touch()
    project.git("init", "-q", "-b", "main")
    project.git("add", ".")
    project.git("commit", "-qm", "project with a tiny dataset")
    return project


@pytest.fixture
def page() -> Iterator[Page]:
    """A page in a real browser without network access."""
    chromium = require(CHROMIUM, "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(offline=True).new_page()
        yield page
        browser.close()
