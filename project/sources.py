"""The sources of the dataset for a run in a copy of the project, which lacks the folders that git ignores."""

import os
import shlex
from pathlib import Path

from classifier.params import PARAMS, load_params
from project import paths


def for_a_copy(params: Path = PARAMS) -> str:
    """A value for DATASET_SOURCES: the sources of this folder, and the files that it has fetched.

    params: the file of the copy. Folders have absolute paths. The SHA-256 of every file is checked, whatever it comes
    from.

    Raises:
        UserError: params.yaml is invalid.
    """
    given = os.environ.get("DATASET_SOURCES", "")
    try:
        sources = shlex.split(given) or load_params(params).dataset.sources
    except ValueError:  # fetch reports it
        return given
    folders = [*sources, str(paths.RAW)] if paths.RAW.is_dir() else sources
    return shlex.join(str(Path(source).resolve()) if Path(source).is_dir() else source for source in folders)
