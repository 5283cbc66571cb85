"""Mutated files, by hypothesis: each is refused in one line, or it is valid; earlier outputs stay as they are.

    python -m tests.faults.inputs KIND --count N --seed S

mutates one kind of files of the project in the current folder; a process of its own, so that a crash is told as well.
"""

import argparse
import faulthandler
import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
from hypothesis import strategies as st
from ruamel.yaml import YAML

from classifier import dataset, model_file, runtime, tables
from classifier.errors import UserError
from classifier.params import load_params
from stages.evaluate import SPLITS, classify
from stages.prepare import prepare
from tests.conftest import Project
from tests.faults.outcome import Outcome

HANG = 120  # seconds after which a reader is taken to hang
PREPARED = Path("data/prepared")
OUTPUT = Path("data/mutated")  # of prepare, from the mutated files

Edit = tuple[str, float, bytes]  # what is done, where as a share of the content, and with which bytes
EDITS = st.tuples(
    st.sampled_from(["replace", "insert", "delete", "cut", "repeat"]),
    st.floats(0, 1),
    st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"-", b"\n", b",", b"nan", b"9" * 30, b"\xff" * 4])),
)
Value = tuple[float, Any]  # of one param: which one, as a share of the file, and what it becomes
VALUES = st.tuples(
    st.floats(0, 1),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=4,
    ),
)


def edited(content: bytes, edit: Edit) -> bytes:
    kind, where, inserted = edit
    at = int(where * len(content))
    before, after = content[:at], content[at:]
    return {
        "replace": before + inserted + after[len(inserted) :],
        "insert": before + inserted + after,
        "delete": before + after[len(inserted) :],
        "cut": before,
        "repeat": before + after[:64] + after,
    }[kind]


def edited_inside(content: bytes, edit: Edit) -> bytes:
    """The same with a member of a zip archive, whose checksums are right again."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w") as archive:
        names = source.namelist()
        chosen = names[zlib.crc32(repr(edit).encode()) % len(names)]
        for name in names:
            archive.writestr(name, edited(source.read(name), edit) if name == chosen else source.read(name))
    return target.getvalue()


def other_value(content: bytes, value: Value) -> bytes:
    """params.yaml with another value for one of its keys."""
    yaml, target = YAML(typ="safe", pure=True), io.BytesIO()
    params = yaml.load(content)
    places = [(section, key) for section, values in params.items() for key in values]
    section, key = places[min(int(value[0] * len(places)), len(places) - 1)]
    params[section][key] = value[1]
    yaml.dump(params, target)
    return target.getvalue()


def read_raw() -> None:
    with redirect_stdout(io.StringIO()):
        prepare(Path("data/raw"), OUTPUT)


def outputs() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in OUTPUT.rglob("*") if path.is_file()}


def read_prepared() -> None:
    dataset.load_splits(PREPARED, SPLITS, len(load_params().dataset.classes))


def read_model() -> None:
    params = load_params()
    images = dataset.load_split(PREPARED / "test", len(params.dataset.classes)).images[:20]
    network = model_file.read_model(Path("models/model.keras"), images.shape[1:], len(params.dataset.classes))
    classify(network, images, params.evaluate)


def read_results() -> None:
    names = load_params().dataset.classes
    tables.read_history(Path("models/history.csv"))
    tables.read_summary(Path("models/summary.json"))
    tables.read_operations(Path("models/operations.csv"))
    tables.read_per_class(Path("metrics/per_class.csv"), names)
    tables.read_confusion(Path("plots/confusion_test.csv"), names)
    tables.read_mistakes(Path("plots/mistakes.npy"), tables.read_predictions(Path("metrics/predictions.csv"), names))


class Kind(NamedTuple):
    """Files by a pattern, what reads them in the pipeline, and how they are mutated: a function and its arguments."""

    pattern: str
    read: Callable[[], None]
    mutated: Callable[[bytes, Any], bytes]
    mutations: st.SearchStrategy[Any]


KINDS = {
    "the text of params.yaml": Kind("params.yaml", read_raw, edited, EDITS),
    "a value of params.yaml": Kind("params.yaml", read_raw, other_value, VALUES),
    "an IDX file": Kind("data/raw/*", read_raw, edited, EDITS),
    "a prepared array": Kind("data/prepared/*/*.npy", read_prepared, edited, EDITS),
    "a table of results": Kind("*/*[st].csv", read_results, edited, EDITS),
    "the training's summary": Kind("models/*.json", read_results, edited, EDITS),
    "the images of mistakes": Kind("plots/*.npy", read_results, edited, EDITS),
    "the model file": Kind("models/*.keras", read_model, edited, EDITS),
    "a member of the model file": Kind("models/*.keras", read_model, edited_inside, EDITS),
}


def outcomes(project: Project, count: int, seed: int) -> Iterator[Outcome]:
    """project: with results; mutated files are put back."""
    for name in KINDS:
        command = [sys.executable, "-m", "tests.faults.inputs", name, "--count", f"{-(-count // len(KINDS))}"]
        before = project.snapshot()
        with tempfile.TemporaryDirectory() as temporary:  # hypothesis keeps notes, which are of no use here
            environment = os.environ | {"HYPOTHESIS_STORAGE_DIRECTORY": temporary}
            result = subprocess.run(
                [*command, "--seed", str(seed)], cwd=project.folder, env=environment, capture_output=True, text=True
            )
        lines = result.stdout.splitlines() or ["nothing"]
        changed = project.snapshot() != before
        problem = "; outputs changed" if changed else "" if result.returncode == 0 else f": {result.stderr[-1500:]}"
        yield Outcome(f"mutations of {name}", lines[-1] + problem, result.returncode == 0 and not changed)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    kind = KINDS[options.kind]
    paths = sorted(Path().glob(kind.pattern))
    runtime.start(load_params().runtime)
    kind.read()  # as they are, they are valid
    taken: Counter[str] = Counter()

    @hypothesis.seed(options.seed)
    @hypothesis.settings(
        max_examples=options.count,
        phases=[hypothesis.Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.sampled_from(paths), kind.mutations)
    def mutate(path: Path, mutation: Any) -> None:
        whole, before = path.read_bytes(), outputs()
        faulthandler.dump_traceback_later(HANG, exit=True)
        path.write_bytes(kind.mutated(whole, mutation))
        try:
            kind.read()
            taken["valid"] += 1
        except UserError as error:
            assert "\n" not in str(error), str(error)
            assert outputs() == before
            taken["refused in one line"] += 1
        finally:
            path.write_bytes(whole)
            faulthandler.cancel_dump_traceback_later()

    mutate()
    shutil.rmtree(OUTPUT, ignore_errors=True)
    print(f"{taken.total()} mutations: " + ", ".join(f"{number} {how}" for how, number in taken.items()))


if __name__ == "__main__":
    main()
