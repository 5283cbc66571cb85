"""Corrupt inputs, made by Hypothesis: each is valid, or is refused with a one-line error and no output changes.

    python -m tests.faults.inputs KIND --count N --seed S

mutates one kind of input of the project in the current folder. It is a separate process, so that a crash of Python is
reported, too.
"""

import faulthandler
import io
import shutil
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
from tests.faults import generated
from tests.faults.outcome import Outcome

HANG = 120  # seconds after which reading is considered to hang
PREPARED = Path("data/prepared")
OUTPUT = Path("data/mutated")  # where prepare writes the splits of mutated files

Edit = tuple[str, float, bytes]  # the kind of edit, its position as a fraction of the content, and bytes to insert
EDITS = st.tuples(
    st.sampled_from(["replace", "insert", "delete", "cut", "repeat"]),
    st.floats(0, 1),
    st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"-", b"\n", b",", b"nan", b"9" * 30, b"\xff" * 4])),
)
Value = tuple[float, Any]  # the position of a param, as a fraction of all params, and its new value
VALUES = st.tuples(
    st.floats(0, 1),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=4,
    ),
)


def apply_edit(content: bytes, edit: Edit) -> bytes:
    """Apply an edit to the content of a file."""
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


def edit_archive_member(content: bytes, edit: Edit) -> bytes:
    """Apply an edit to one member of a zip archive, and write the archive with valid checksums."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w") as archive:
        names = source.namelist()
        chosen = names[zlib.crc32(repr(edit).encode()) % len(names)]
        for name in names:
            archive.writestr(name, apply_edit(source.read(name), edit) if name == chosen else source.read(name))
    return target.getvalue()


def replace_value(content: bytes, value: Value) -> bytes:
    """Replace the value of one key in the content of params.yaml."""
    yaml, target = YAML(typ="safe", pure=True), io.BytesIO()
    params = yaml.load(content)
    places = [(section, key) for section, values in params.items() for key in values]
    section, key = places[min(int(value[0] * len(places)), len(places) - 1)]
    params[section][key] = value[1]
    yaml.dump(params, target)
    return target.getvalue()


def read_raw() -> None:
    """Read params.yaml and the IDX files, as the stage prepare does."""
    with redirect_stdout(io.StringIO()):
        prepare(Path("data/raw"), OUTPUT)


def read_outputs() -> dict[Path, bytes]:
    """The content of each file that prepare has written."""
    return {path: path.read_bytes() for path in OUTPUT.rglob("*") if path.is_file()}


def read_prepared() -> None:
    """Read the prepared splits, as the stages train and evaluate do."""
    dataset.load_splits(PREPARED, SPLITS, len(load_params().dataset.classes))


def read_model() -> None:
    """Read the model and classify images, as the stage evaluate does."""
    params = load_params()
    runtime.start(params.runtime)
    images = dataset.load_split(PREPARED / "test", len(params.dataset.classes)).images[:20]
    network = model_file.read_model(Path("models/model.keras"), images.shape[1:], len(params.dataset.classes))
    classify(network, images, params.evaluate)


def read_results() -> None:
    """Read the tables, the summary and the images that the stages and reviews read."""
    names = load_params().dataset.classes
    tables.read_history(Path("models/history.csv"))
    tables.read_summary(Path("models/summary.json"))
    tables.read_operations(Path("models/operations.csv"))
    tables.read_per_class(Path("metrics/per_class.csv"), names)
    tables.read_confusion(Path("plots/confusion_test.csv"), names)
    tables.read_mistakes(Path("plots/mistakes.npy"), tables.read_predictions(Path("metrics/predictions.csv"), names))


class Kind(NamedTuple):
    """A kind of input.

    pattern: of the paths of its files. read: reads them as the pipeline does. mutate: is called with the content of a
    file and one of the mutations.
    """

    pattern: str
    read: Callable[[], None]
    mutate: Callable[[bytes, Any], bytes]
    mutations: st.SearchStrategy[Any]


KINDS = {
    "the text of params.yaml": Kind("params.yaml", read_raw, apply_edit, EDITS),
    "a value of params.yaml": Kind("params.yaml", read_raw, replace_value, VALUES),
    "an IDX file": Kind("data/raw/*", read_raw, apply_edit, EDITS),
    "a prepared array": Kind("data/prepared/*/*.npy", read_prepared, apply_edit, EDITS),
    "a table of results": Kind("*/*[st].csv", read_results, apply_edit, EDITS),
    "the training summary": Kind("models/*.json", read_results, apply_edit, EDITS),
    "the images of mistakes": Kind("plots/*.npy", read_results, apply_edit, EDITS),
    "the model file": Kind("models/*.keras", read_model, apply_edit, EDITS),
    "a member of the model file": Kind("models/*.keras", read_model, edit_archive_member, EDITS),
}


def inject(project: Project, count: int, seed: int) -> Iterator[Outcome]:
    """Mutate the inputs of a project, which has results; afterwards the files are as they were."""
    for name in KINDS:
        before = project.snapshot()
        line, problem = generated.run("tests.faults.inputs", name, -(-count // len(KINDS)), seed, project.folder)
        if project.snapshot() != before:
            problem = f"outputs changed {problem}"
        yield Outcome(f"mutations of {name}", f"{line}: {problem}" if problem else line, not problem)


def main() -> None:
    parser = generated.parser()
    parser.add_argument("kind", choices=KINDS)
    options = parser.parse_args()
    kind = KINDS[options.kind]
    paths = sorted(Path().glob(kind.pattern))
    kind.read()  # the original files are valid
    outcomes: Counter[str] = Counter()

    @hypothesis.seed(options.seed)
    @generated.settings(options.count)
    @hypothesis.given(st.sampled_from(paths), kind.mutations)
    def read_mutated(path: Path, mutation: Any) -> None:
        original, before = path.read_bytes(), read_outputs()
        faulthandler.dump_traceback_later(HANG, exit=True)
        path.write_bytes(kind.mutate(original, mutation))
        try:
            kind.read()
            outcomes["valid"] += 1
        except UserError as error:
            assert "\n" not in str(error), str(error)
            assert read_outputs() == before
            outcomes["refused with a one-line error"] += 1
        finally:
            path.write_bytes(original)
            faulthandler.cancel_dump_traceback_later()

    read_mutated()
    shutil.rmtree(OUTPUT, ignore_errors=True)
    print(f"{outcomes.total()} mutations: " + ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items()))


if __name__ == "__main__":
    main()
