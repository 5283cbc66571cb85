"""Reproduce a commit in a fresh clone with an empty cache, and compare every output with the committed one.

    python -m project.verify [REVISION]

Prints a table of the outputs and one verdict. The exit status is 1 if that is *different*:

identical   every output has the committed hash, and git status is clean
equivalent  hashes differ, but every metric lies within TOLERANCE of the committed one, and at least AGREEMENT of the
            test images get the same predicted class
different   neither of the two

Where hashes differ, it lists the operations whose results differ on this CPU, from metrics/arithmetic.csv.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from classifier import tables
from classifier.notation import percent
from classifier.params import PARAMS
from project import cli, paths, sources
from project.repository import dvc, git

TOLERANCE = 0.01  # of losses and scores; two runs whose last bits differ were seen to differ by 0.002
AGREEMENT = 0.97  # of the predicted classes; two runs whose last bits differ were seen to agree on 0.984
NOT_SCORES = {"best_epoch", "arithmetic"}  # a position on a flat curve, and a hash


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("revision", nargs="?", default="HEAD", metavar="REVISION", help="default HEAD")
    revision = parser.parse_args().revision
    with tempfile.TemporaryDirectory(prefix="verify-") as temporary:
        clone, committed = Path(temporary, "clone"), Path(temporary, "committed")
        head = git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}", check=True)
        for folder in (clone, committed):
            git("clone", "--quiet", git("rev-parse", "--show-toplevel", check=True), str(folder), check=True)
            git("checkout", "--quiet", "--detach", head, folder=folder, check=True)
        print(f"Reproducing {head[:10]} in a fresh clone with an empty cache", flush=True)
        dvc("cache", "dir", "--local", str(Path(temporary, "cache")), folder=clone)  # whatever the user's own settings
        os.environ["DATASET_SOURCES"] = sources.for_a_copy(clone / PARAMS)
        dvc("repro", "--force", folder=clone)
        sys.exit(report(committed, clone))


def report(committed: Path, reproduced: Path) -> int:
    """Compare the results of two checkouts, print the comparison and the verdict, and return the exit status."""
    before, after = (_lock(folder) for folder in (committed, reproduced))
    if _inputs(before) != _inputs(after):
        print("different: the committed dvc.lock belongs to other code, params or data; run dvc repro and commit it")
        return 1

    hashes = pd.DataFrame({"committed": _outputs(before), "reproduced": _outputs(after)})
    hashes["result"] = (hashes["committed"] == hashes["reproduced"]).map({True: "identical", False: "different"})
    print("\n" + hashes.rename_axis("output").to_string() + "\n")
    changed = git("status", "--porcelain", folder=reproduced, check=True)
    if (hashes["result"] == "identical").all() and not changed:
        print("identical: every output has the committed hash, and git status is clean")
        return 0

    scores = pd.DataFrame({"committed": scores_of(committed), "reproduced": scores_of(reproduced)})
    scores["difference"] = (scores["reproduced"] - scores["committed"]).abs()
    print(scores.round(6).to_string() + "\n")
    worst = scores["difference"].fillna(float("inf")).max()
    same = agreement(committed / paths.PREDICTIONS, reproduced / paths.PREDICTIONS)
    operations = differing_operations(committed / paths.ARITHMETIC, reproduced / paths.ARITHMETIC)
    print(
        f"operations with other results on this CPU: {', '.join(operations) or 'none'}\n"
        f"largest difference of a metric: {worst:.4f}, {TOLERANCE} is allowed\n"
        f"test predictions of the same class: {percent(same)}, {percent(AGREEMENT, 0)} are required\n"
    )
    if worst <= TOLERANCE and same >= AGREEMENT:
        print("equivalent: the bits differ, the results agree within the tolerance")
        return 0
    print("different: the results do not agree within the tolerance")
    return 1


def scores_of(folder: Path) -> dict[str, float]:
    """Every score of a checkout by its dotted name, as in test.accuracy."""
    metrics = [pd.json_normalize(_json(folder / path)) for path in (paths.TRAINING_SUMMARY, paths.SCORES)]
    flat = {name: value for table in metrics for name, value in table.iloc[0].items()}
    return {str(name): float(value) for name, value in flat.items() if name not in NOT_SCORES}


def differing_operations(committed: Path, reproduced: Path) -> list[str]:
    """The operations whose hashes differ between two tables of classifier.arithmetic."""
    before, after = (tables.read_operations(path).set_index("operation")["crc32"] for path in (committed, reproduced))
    return [str(name) for name in before.index if after.get(name) != before[name]]


def agreement(committed: Path, reproduced: Path) -> float:
    """The share of images whose predicted class is the same in both tables."""
    before, after = (
        pd.read_csv(path, dtype=str, keep_default_na=False)["predicted"] for path in (committed, reproduced)
    )
    return float((before == after).mean()) if len(before) == len(after) else 0.0


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


def _lock(folder: Path) -> dict[str, Any]:
    stages: dict[str, Any] = YAML(typ="safe").load(folder / "dvc.lock")["stages"]
    return stages


def _outputs(stages: dict[str, Any]) -> dict[str, str]:
    return {out["path"]: out["md5"][:12] for stage in stages.values() for out in stage.get("outs", [])}


def _inputs(stages: dict[str, Any]) -> dict[str, Any]:
    """Commands, params, and the hashes of the deps that no stage makes: the code."""
    made = _outputs(stages)
    return {
        name: (stage["cmd"], stage.get("params"), [dep for dep in stage.get("deps", []) if dep["path"] not in made])
        for name, stage in stages.items()
    }


if __name__ == "__main__":
    with cli.one_line_errors("project.verify"):
        main()
