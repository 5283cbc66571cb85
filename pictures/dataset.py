"""Convert a folder of pictures to a dataset, and make it the dataset of params.yaml.

    python -m pictures.dataset FOLDER [--name NAME] [--size PIXELS] [--test-fraction SHARE] [--seed SEED]

FOLDER has a subfolder for each class, which is named like the class. The test images are drawn at random from each
class; if FOLDER has exactly the subfolders train and test, with the classes in both, its pictures are split already.
Writes the four files of the dataset into data/own, and their hashes, the classes and the name of the dataset into
params.yaml. Afterwards, dvc repro trains and evaluates a model on it.
"""

import hashlib
import os
import shlex

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from classifier import artifacts
from classifier.dataset import UNSIGNED_BYTE
from classifier.params import PARAMS, load_params
from pictures import block, collection, files
from pictures.collection import Collection
from project import cli, paths

NAMES = {  # of the files, by their keys in params.yaml: those of MNIST
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("folder", type=files.given, metavar="FOLDER")
    parser.add_argument("--name", metavar="NAME", help="of the dataset; default: that of the folder")
    parser.add_argument(
        "--size", type=cli.number(int, 1, 1024), default=28, metavar="PIXELS", help="height and width; default 28"
    )
    parser.add_argument(
        "--test-fraction", type=cli.number(float, 0, 1), default=0.2, metavar="SHARE", help="of each class; default 0.2"
    )
    parser.add_argument(
        "--seed", type=cli.number(int, 0, 2**32 - 1), default=1, metavar="SEED", help="of all random choices; default 1"
    )
    parser.add_argument("--skip-unreadable", action="store_true", help="leave out files that cannot be read")
    options = parser.parse_args()

    load_params()  # reports what is wrong with params.yaml before any work
    cli.check_replaceable(paths.OWN_DATASET, NAMES.values(), "an earlier dataset")
    splits = collection.find(options.folder)
    class_names = list(splits[0])
    name = options.name or options.folder.resolve().name
    size, fraction, seed = str(options.size), str(options.test_fraction), str(options.seed)
    command = ["python", "-m", "pictures.dataset", files.one_line(options.folder)]
    command += ["--size", size, "--seed", seed]
    command += ["--test-fraction", fraction] if len(splits) == 1 else []
    command += ["--name", name] if options.name else []
    command += ["--skip-unreadable"] if options.skip_unreadable else []
    origin = shlex.join(command)
    new_params(name, class_names, dict.fromkeys(NAMES, b""), origin)  # reports names that it cannot contain

    converted = [collection.convert_all(split, class_names, options.size, options.skip_unreadable) for split in splits]
    if len(converted) == 1:
        converted = [*collection.draw_test(converted[0], options.test_fraction, options.seed)]
    training, test = converted
    collection.check(training, test, class_names)
    # In random order, because prepare.split: last takes the last images for the validation
    training = collection.shuffle(training, options.seed)
    save(name, class_names, training, test, origin)

    print(
        f"{name}: {len(training.paths):,} training and {len(test.paths):,} test images of {'×'.join(2 * [size])} pixels"
    )
    counts = {f"{split} images": part.counts(class_names) for split, part in (("training", training), ("test", test))}
    print(pd.DataFrame({"class": class_names} | counts).to_string(index=False))
    for note in collection.notes(options.folder, training, test, class_names):
        print(f"note: {note}")
    print(f"Written: {paths.OWN_DATASET} and the block dataset of {PARAMS}. Now dvc repro trains on them.")


def new_params(name: str, class_names: list[str], contents: dict[str, bytes], origin: str) -> str:
    """The text of params.yaml for another dataset. contents: those of its files, by their keys in params.yaml.

    Raises:
        UserError: params.yaml cannot have such names, or cannot be edited.
    """
    entries = {
        key: {"name": NAMES[key], "sha256": hashlib.sha256(content).hexdigest()} for key, content in contents.items()
    }
    values = {"name": name, "classes": class_names, "files": entries, "sources": [str(paths.OWN_DATASET)]}
    return block.rewrite(PARAMS.read_bytes().decode("utf-8"), values, origin)


def save(name: str, class_names: list[str], training: Collection, test: Collection, origin: str) -> None:
    """Write the files of a dataset and params.yaml: both, or none of them.

    Raises:
        UserError: they cannot be written.
    """
    splits = {"train": training, "test": test}
    arrays = {
        f"{split}_{kind}": array
        for split, pictures in splits.items()
        for kind, array in (("images", pictures.images), ("labels", pictures.labels))
    }
    contents = {key: encode(array) for key, array in arrays.items()}
    text = new_params(name, class_names, contents, origin)
    with artifacts.replacing(PARAMS) as params, artifacts.replacing(paths.OWN_DATASET) as folder:
        with params.open("wb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())  # a full disk is noticed before the folder is replaced, which is replaced first
        load_params(params)
        folder.mkdir()
        for key, content in contents.items():
            (folder / NAMES[key]).write_bytes(content)


def encode(array: NDArray[np.uint8]) -> bytes:
    """An array of unsigned bytes in the format IDX, which classifier.dataset.read_idx reads."""
    return bytes([0, 0, UNSIGNED_BYTE, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


if __name__ == "__main__":
    with cli.one_line_errors("dataset", lists=True):
        main()
