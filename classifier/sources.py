"""The sources of the dataset's files: folders, web servers, Debian packages."""

import gzip
import hashlib
import signal
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

import requests
import urllib3
from tqdm import tqdm

from classifier.params import File

CHUNK = 1 << 20  # bytes held in memory at a time
LARGEST = 1 << 32  # bytes of a decompressed file, so that a wrong or hostile source cannot fill the disk
TIMEOUT = (10, 30)  # seconds to connect, and between two packets
LONGEST = 1800  # seconds per file, so that a source cannot stall for ever: 26 MB take that long at 15 kB/s


class SourceError(Exception):
    """A source does not have the files; the message gives the reason."""


def copy(source: str, files: list[File], folder: Path) -> None:
    """Copy all files of a source, decompressed and checked, into an existing folder.

    A source is an http(s) URL, `apt:` and the name of a Debian package, or else a folder. It may hold each file
    gzipped, as NAME.gz, or plain.

    Raises:
        SourceError: a file is not there, cannot be read, or has another SHA-256 than params.yaml says.
    """
    with ExitStack() as stack:
        if source.startswith("apt:"):
            source = str(stack.enter_context(_debian_package(source.removeprefix("apt:"), files[0].name)))
        for file in files:
            try:
                with _limited_time(), _open(source, file.name) as stream:
                    _save_checked(stream, file, folder / file.name)
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                raise SourceError(_reason(error)) from error
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise SourceError(f"{file.name}.gz is broken: {error}") from error


def _save_checked(stream: BinaryIO, file: File, target: Path) -> None:
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as output:
        while chunk := _read(stream):
            size += len(chunk)
            if size > LARGEST:
                raise SourceError(f"{file.name} is larger than {LARGEST:,} bytes")
            digest.update(chunk)
            output.write(chunk)
    if digest.hexdigest() != file.sha256:
        raise SourceError(f"{file.name} has SHA-256 {digest.hexdigest()}, params.yaml has {file.sha256}")


def _read(stream: BinaryIO) -> bytes:
    """The next bytes of a source, of which an OSError is not one of the file that is written."""
    try:
        return stream.read(CHUNK)
    except (gzip.BadGzipFile, requests.RequestException):
        raise
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}") from error


@contextmanager
def _limited_time() -> Iterator[None]:
    """End the block after LONGEST seconds with a SourceError. Works in the main thread only, as all signals."""

    def end(*_: object) -> None:
        raise SourceError(f"took longer than {LONGEST} seconds")

    previous = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@contextmanager
def _open(source: str, name: str) -> Iterator[BinaryIO]:
    """The decompressed content of a source's file, with a progress bar in a terminal."""
    open_file = _from_web if source.startswith(("http://", "https://")) else _from_folder
    for candidate in (f"{name}.gz", name):
        with open_file(source, candidate) as (stream, size):
            if stream is None:
                continue
            with tqdm.wrapattr(stream, "read", size, desc=candidate, disable=None) as counted:
                content = cast(BinaryIO, counted)
                yield cast(BinaryIO, gzip.GzipFile(fileobj=content)) if candidate.endswith(".gz") else content
                return
    raise SourceError(f"neither {name}.gz nor {name} is there")


@contextmanager
def _from_folder(folder: str, name: str) -> Iterator[tuple[BinaryIO | None, int]]:
    path = Path(folder)
    with suppress(RuntimeError):  # ~name of no user
        path = path.expanduser()
    try:
        if not path.is_dir():
            raise SourceError("no such folder")
        path /= name
        stream = path.open("rb") if path.is_file() else None
    except OSError as error:
        raise SourceError(f"cannot read {name}: {error.strerror}") from error
    if stream is None:
        yield None, 0
        return
    with stream:
        yield stream, path.stat().st_size


@contextmanager
def _from_web(url: str, name: str) -> Iterator[tuple[BinaryIO | None, int]]:
    # identity: the server must not compress on its own, the file's bytes count
    headers = {"Accept-Encoding": "identity"}
    with requests.get(f"{url.rstrip('/')}/{name}", headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code in (403, 404):  # storage servers say 403 for a file that is not there
            yield None, 0
            return
        response.raise_for_status()
        length = response.headers.get("Content-Length", "")
        size = int(length) if length.isdecimal() else 0
        yield cast(BinaryIO, response.raw), size


@contextmanager
def _debian_package(package: str, name: str) -> Iterator[Path]:
    """The folder in a Debian package that has the named file. Needs no root and installs nothing.

    The package lists are fetched into the temporary folder too, since a fresh machine has none.
    """
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "lists" / "partial").mkdir(parents=True)
        (root / "cache" / "archives" / "partial").mkdir(parents=True)
        options = [f"Dir::State::lists={root / 'lists'}", f"Dir::Cache={root / 'cache'}", "APT::Sandbox::User="]
        apt_get = ["apt-get", "-q", *(word for option in options for word in ("-o", option))]
        _call([*apt_get, "update"], root)
        _call([*apt_get, "download", "--", package], root)
        for archive in root.glob("*.deb"):
            _call(["dpkg-deb", "-x", str(archive), "files"], root)
        for found in (root / "files").rglob(f"{name}*"):
            yield found.parent
            return
        raise SourceError(f"the package has no {name}")


def _call(command: list[str], folder: Path) -> None:
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    except FileNotFoundError:
        raise SourceError(f"this machine has no {command[0]}") from None
    except subprocess.TimeoutExpired:
        raise SourceError(f"{command[0]} took longer than 10 minutes") from None
    if result.returncode:
        last = (result.stderr.strip() or "no message").splitlines()[-1]
        raise SourceError(f"{command[0]} failed: {last}")


def _reason(error: Exception) -> str:
    """The cause of an error in a few words; the libraries nest long messages."""
    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate cannot be verified"
    if isinstance(error, requests.ConnectionError):
        return "cannot connect"
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return "the connection broke off"
    return str(error)
