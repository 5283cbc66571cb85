"""Copy the dataset's four IDX files, decompressed and checked, into a folder.

They come from the first source that has them all: those of params.yaml, or those in the environment variable
DATASET_SOURCES, separated by spaces and quoted as in a shell. Every file's SHA-256 is checked, so that the source
cannot change a result.
"""

import os
import shlex
from pathlib import Path

from classifier import artifacts, sources
from classifier.errors import UserError
from classifier.params import load_params


def fetch(raw: Path) -> None:
    """Fetch the dataset into the folder raw.

    Raises:
        UserError: no source has the files, and the message names the reason of each; or DATASET_SOURCES has a quote
            without its end.
    """
    params = load_params()
    name = params.dataset.name
    files = [file for _, file in params.dataset.files]
    try:
        candidates = shlex.split(os.environ.get("DATASET_SOURCES", "")) or params.dataset.sources
    except ValueError as error:
        raise UserError(f"DATASET_SOURCES: {error}; quote a path with such characters as in a shell") from None
    reasons = []
    for source in candidates:
        try:
            with artifacts.replacing(raw) as folder:
                folder.mkdir()
                sources.copy(source, files, folder)
        except sources.SourceError as error:
            reasons.append(f"  {source}: {error}")
        else:
            print(f"{name} from {source}")
            return
    raise UserError(
        "\n".join(
            [
                f"no source has the files of {name}:",
                *reasons,
                f"Put {', '.join(file.name for file in files)} (plain or .gz) into a folder and try again with "
                "DATASET_SOURCES=FOLDER, or with a URL that has them.",
            ]
        )
    )
