"""What an experiment's training costs: parameters, multiplications, and time beside the baseline's.

    python -m experiments.cost PARAMS.yaml

trains briefly with those params and prints what it measured.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from tqdm import tqdm

from benchmarks.pipeline import train_briefly
from classifier import cli, dataset, runtime
from classifier.cli import InputError
from classifier.params import load_params
from experiments.plan import Sections

TRAINING_SPLIT = Path("data/prepared/train")
IMAGES = 5120  # of the training split: enough for a few seconds
TURNS = 3

Measured = dict[str, Any]  # what main() prints


class Cost(NamedTuple):
    """parameters; multiply_adds: of one image's way forward; images_seen: in all epochs.

    relative_time: the whole training's, as a multiple of the baseline's.
    """

    parameters: int
    multiply_adds: int
    epochs: int
    images_seen: int
    relative_time: float


def costs(baseline: Sections, experiments: dict[str, Sections]) -> dict[str, Cost]:
    """The cost of each experiment's training, given as its name and the whole of its params.

    They take turns with the baseline, each in a process of its own, so that a change of the machine's speed meets all
    of them; times are compared within a turn.

    Raises:
        InputError: a training fails.
    """
    if not experiments:
        return {}
    turns: dict[str, list[tuple[Measured, Measured]]] = {name: [] for name in experiments}
    with tqdm(total=TURNS * (1 + len(experiments)), unit="training", desc="relative training time") as progress:
        for _ in range(TURNS):
            base = _measured(baseline)
            progress.update()
            for name, params in experiments.items():
                try:
                    turns[name].append((base if params == baseline else _measured(params), base))
                except InputError as error:
                    raise InputError(f"{name}: {error}") from None
                progress.update()
    return {name: _cost(pairs) for name, pairs in turns.items()}


def _cost(turns: list[tuple[Measured, Measured]]) -> Cost:
    """From what was measured of an experiment and of the baseline, turn by turn."""
    first, _ = turns[0]
    time = median(mine["seconds"] / base["seconds"] for mine, base in turns)
    return Cost(first["parameters"], first["multiply_adds"], first["epochs"], first["images_seen"], time)


def _measured(params: Sections) -> Measured:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        YAML(typ="safe").dump(params, file)
        file.flush()
        command = [sys.executable, "-m", "experiments.cost", file.name]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise InputError(result.stderr.strip().splitlines()[-1].removeprefix("error: experiments.cost: "))
    measured: Measured = json.loads(result.stdout.splitlines()[-1])
    return measured


def main() -> None:
    params = load_params(Path(sys.argv[1]))
    whole = dataset.load_split(TRAINING_SPLIT, len(params.dataset.classes))
    some = dataset.Split(whole.images[:IMAGES], whole.labels[:IMAGES])
    runtime.start(params.runtime)
    from classifier.models import multiply_adds

    model, images_per_second = train_briefly(params, some)
    images_seen = params.train.epochs * len(whole.labels)
    print(
        json.dumps(
            {
                "parameters": model.count_params(),
                "multiply_adds": multiply_adds(model),
                "epochs": params.train.epochs,
                "images_seen": images_seen,
                "seconds": images_seen / images_per_second,
            }
        )
    )


if __name__ == "__main__":
    with cli.one_line_errors("experiments.cost"):
        main()
