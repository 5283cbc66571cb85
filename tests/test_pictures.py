"""Picture files become images of a dataset; the model classifies them, and a folder of them becomes a dataset."""

import base64
import errno
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from ruamel.yaml import YAML
from sklearn.datasets import load_digits, load_sample_images

from classifier import artifacts, model_file, models, tables
from classifier.dataset import Split, read_split, save_split
from classifier.errors import UserError
from classifier.notation import percent
from classifier.params import load_params
from pictures import block, convert, dataset, files, likeness, predict
from project import cli, paths, snapshot
from tests import idx
from tests.conftest import ROOT, Project, is_untested_cpu

SHAPE = (28, 28)
WHITE = (255, 255, 255)

# Of t_shirt(), by ImageMagick 6.9.11: -fuzz 5% -trim +repage -sample 28x28 -adaptive-sharpen 1x1 -gravity center
# -background white -extent 28x28 -negate -grayscale Rec601Luma -auto-level
BY_IMAGEMAGICK = "eNpjYCAPPEEADAEi5egCsDsA2SepfigglVg5fGbSWy41HdmZ6SjurE1HAbXE6qORH/7//0+WHFn2kQ4AUI1gGg=="


def t_shirt() -> Image.Image:
    """A striped T-shirt on white, in colours."""
    picture = np.full((270, 330, 3), WHITE, np.uint8)
    picture[40:90, 45:275] = picture[40:235, 95:225] = (30, 90, 160)
    picture[100:110, 95:225] = picture[150:175, 95:225] = (220, 180, 40)
    picture[40:60, 135:185] = WHITE
    picture[200:220, 120:140] = (150, 20, 30)
    return Image.fromarray(picture)


def rectangle(height: int, width: int, background: int = 255, colour: int = 0) -> Image.Image:
    """A rectangle of one grey with unequal margins around it."""
    picture = np.full((height + 20, width + 50, 3), background, np.uint8)
    picture[5 : 5 + height, 40 : 40 + width] = colour
    return Image.fromarray(picture)


def difference(image: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """The mean absolute difference of two images, in levels of grey."""
    return float(np.abs(image.astype(int) - other).mean())


def save(path: Path, picture: Image.Image, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
    return path


# The conversion


def test_a_picture_is_converted_as_imagemagick_does_by_the_published_steps() -> None:
    expected = np.frombuffer(zlib.decompress(base64.b64decode(BY_IMAGEMAGICK)), np.uint8).reshape(SHAPE)
    converted = convert.convert(t_shirt(), SHAPE)
    assert np.abs(converted.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(("height", "width", "rows", "columns"), [
    (280, 140, slice(0, 28), slice(7, 21)),
    (280, 130, slice(0, 28), slice(8, 21)),  # an odd rest: one more column on the left, as in Fashion-MNIST
    (70, 280, slice(11, 18), slice(0, 28)),
    (7, 14, slice(7, 21), slice(0, 28)),  # enlarged
    (2000, 1, slice(0, 28), slice(14, 15)),
])  # fmt: skip
def test_an_object_is_trimmed_scaled_centred_and_negated(height: int, width: int, rows: slice, columns: slice) -> None:
    expected = np.zeros(SHAPE)
    expected[rows, columns] = 255
    assert (convert.convert(rectangle(height, width), SHAPE) == expected).all()


def test_other_shapes_than_squares_are_filled() -> None:
    image = convert.convert(rectangle(100, 100), (20, 32))
    assert image.shape == (20, 32)
    assert (image[:, 6:26] == 255).all()
    assert not image[:, :6].any() and not image[:, 26:].any()


def test_edges_within_five_percent_of_the_corner_are_trimmed() -> None:
    trimmed = convert.convert(rectangle(140, 140), SHAPE)
    for grey, expected in ((255 - 12, True), (255 - 14, False)):
        picture = np.asarray(rectangle(140, 140)).copy()
        picture[0, 10:20] = picture[10:20, -1] = picture[-1, 10:20] = picture[10:20, 0] = grey
        assert (convert.convert(Image.fromarray(picture), SHAPE) == trimmed).all() == expected


def test_outlines_are_sharpened_and_flat_parts_are_not() -> None:
    picture = np.full((28, 29, 3), 200, np.uint8)
    picture[:, 14:] = 100
    picture[0, 0] = picture[-1, 0] = picture[0, -1] = picture[-1, -1] = 200
    row = convert._sharpen(picture)[14, :, 0]
    assert row[13] > 200 > 100 > row[14]
    assert set(row[:12]) == {200} and set(row[17:]) == {100}


def test_a_dark_background_stays_dark() -> None:
    assert (convert.convert(rectangle(90, 60, 0, 255), SHAPE) == convert.convert(rectangle(90, 60), SHAPE)).all()


def test_the_intensities_are_stretched_but_noise_is_not() -> None:
    faint = convert.convert(rectangle(90, 60, 240, 200), SHAPE)
    assert set(faint.ravel().tolist()) == {0, 255}
    noise = convert.convert(rectangle(90, 60, 250, 245), SHAPE)
    assert noise.max() < 16


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA"])
@pytest.mark.parametrize("shape", [(28, 28), (32, 20)])
def test_a_grey_picture_of_the_right_size_is_taken_as_it_is(tmp_path: Path, mode: str, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = save(tmp_path / "image.png", Image.fromarray(image).convert(mode))
    assert (convert.load(path, shape) == image).all()
    assert (convert.load(path, (30, 30)) != 0).any()


# The files


def with_alpha(mode: str) -> Image.Image:
    """The T-shirt with a transparent background, whose hidden colour is black."""
    picture = np.asarray(t_shirt().convert("RGBA")).copy()
    background = (picture[..., :3] == WHITE).all(axis=2)
    picture[background] = 0
    return Image.fromarray(picture).convert(mode)


def grey_16_bits() -> Image.Image:
    """The T-shirt in 16 bits, whose lower 8 bits are not those of 8-bit grey."""
    return Image.fromarray(np.asarray(t_shirt().convert("L")).astype(np.uint16) * 257 ^ 64)


def with_transparent_16_bits() -> Image.Image:
    """Its white background is transparent."""
    pixels = np.asarray(grey_16_bits())
    return Image.fromarray(np.where(pixels > 65_000, np.uint16(7), pixels))


def turned() -> dict[str, Any]:
    """Options with EXIF data: the picture is shown correctly after a quarter turn clockwise."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return {"exif": exif}


BEST = {"quality": 100, "subsampling": "4:4:4"}


def frames() -> dict[str, Any]:
    """Options for two more frames or pages behind the picture."""
    return {"save_all": True, "append_images": [Image.new("RGB", t_shirt().size, colour) for colour in ("red", "blue")]}


FILES: dict[str, tuple[str, Callable[[], Image.Image], dict[str, Any]]] = {
    "jpeg": ("a.jpg", t_shirt, BEST),
    "jpeg-turned": ("a.jpg", lambda: t_shirt().transpose(Image.Transpose.ROTATE_90), BEST | turned()),
    "jpeg-cmyk": ("a.jpg", lambda: t_shirt().convert("CMYK"), BEST),
    "jpeg-several": ("a.jpg", t_shirt, {"format": "MPO"} | BEST | frames()),
    "jpeg2000": ("a.jp2", t_shirt, {}),
    "png-turned": ("a.png", lambda: t_shirt().transpose(Image.Transpose.ROTATE_90), turned()),
    "png-palette": ("a.png", lambda: t_shirt().quantize(16), {}),
    "png-alpha": ("a.png", lambda: with_alpha("RGBA"), {}),
    "png-palette-alpha": ("a.png", lambda: with_alpha("RGBA").quantize(16), {}),
    "png-animated": ("a.png", t_shirt, frames()),
    "png-without-suffix": ("a", t_shirt, {"format": "PNG"}),
    "gif": ("a.gif", t_shirt, {}),
    "gif-animated": ("a.gif", t_shirt, frames()),
    "webp": ("a.webp", t_shirt, {"lossless": True}),
    "webp-animated": ("a.webp", t_shirt, {"lossless": True} | frames()),
    "tiff": ("a.tif", t_shirt, {}),
    "tiff-pages": ("a.tif", t_shirt, frames()),
    "tiff-cmyk": ("a.tif", lambda: t_shirt().convert("CMYK"), {}),
    "tiff-ycbcr": ("a.tif", lambda: t_shirt().convert("YCbCr"), {}),
    "bmp": ("a.bmp", t_shirt, {}),
    "ppm": ("a.ppm", t_shirt, {}),
    "avif": ("a.avif", t_shirt, BEST),
}
GREY_FILES: dict[str, tuple[str, Callable[[], Image.Image], dict[str, Any]]] = {
    "png-grey": ("a.png", lambda: t_shirt().convert("L"), {}),
    "png-grey-alpha": ("a.png", lambda: with_alpha("LA"), {}),
    "png-16-bits": ("a.png", grey_16_bits, {}),
    "png-16-bits-alpha": ("a.png", with_transparent_16_bits, {"transparency": 7}),
    "tiff-16-bits": ("a.tif", grey_16_bits, {}),
    "pgm-16-bits": ("a.pgm", grey_16_bits, {}),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_of_all_formats_are_the_same_image(tmp_path: Path, kind: str) -> None:
    name, make, options = FILES[kind]
    path = save(tmp_path / name, make(), **options)
    assert difference(convert.load(path, SHAPE), convert.convert(t_shirt(), SHAPE)) < 4


@pytest.mark.parametrize("kind", GREY_FILES)
def test_grey_files_of_all_formats_are_the_same_image(tmp_path: Path, kind: str) -> None:
    name, make, options = GREY_FILES[kind]
    path = save(tmp_path / name, make(), **options)
    expected = convert.convert(t_shirt().convert("L").convert("RGB"), SHAPE)
    assert difference(convert.load(path, SHAPE), expected) < 0.1


def png(tmp_path: Path) -> bytes:
    return save(tmp_path / "whole.png", t_shirt()).read_bytes()


def jpeg(tmp_path: Path) -> bytes:
    return save(tmp_path / "whole.jpg", t_shirt()).read_bytes()


def large(tmp_path: Path, side: int) -> bytes:
    """The header of a large PNG file, which is enough to refuse it."""
    content = bytearray(png(tmp_path))
    content[16:24] = 2 * side.to_bytes(4)
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    return bytes(content)


def numbers(tmp_path: Path, kind: type) -> bytes:
    return save(tmp_path / "whole.tif", Image.fromarray(np.zeros((9, 9), kind))).read_bytes()


REFUSED: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "empty": (lambda _: b"", "the file is empty"),
    "text": (lambda _: b"not a picture\n", "not a picture in one of the formats"),
    "program": (lambda _: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture in one of the formats"),
    "truncated-png": (lambda path: png(path)[:-60], "truncated"),
    "truncated-jpeg": (lambda path: jpeg(path)[:-600], "truncated"),
    "header-only": (lambda path: png(path)[:33], "not a picture in one of the formats"),
    "damaged": (lambda path: png(path).replace(b"IDATx", b"IDATy", 1), "cannot be read as a picture"),
    "large": (lambda path: large(path, 10_001), r"10,001×10,001 pixels, but at most 100,000,000 are read"),
    "bomb": (lambda path: large(path, 20_000), "400000000 pixels"),
    "integers": (lambda path: numbers(path, np.int32), "32 bits"),
    "floats": (lambda path: numbers(path, np.float32), "32 bits"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_files_are_refused_in_one_line(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, message = REFUSED[kind]
    path = tmp_path / "my\n\x1bfile"
    path.write_bytes(make(tmp_path))
    with pytest.raises(UserError, match=message) as error:
        convert.read(path)
    assert str(error.value).startswith(f"{tmp_path}/my��file: ")
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for name, message in (("missing.png", "no such file"), ("pipe.png", "not a file"), (".", "not a file")):
        with pytest.raises(UserError, match=message):
            convert.read(tmp_path / name)


def test_damaged_files_are_images_or_refused_in_one_line(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    refused = 0
    for suffix in ("png", "jpg", "gif", "tif", "webp", "bmp", "jp2"):
        whole = np.frombuffer(save(tmp_path / f"a.{suffix}", t_shirt().resize((66, 54))).read_bytes(), np.uint8)
        for _ in range(30):
            damaged = whole.copy()
            places = random.integers(0, len(whole), random.integers(1, 20))
            damaged[places] = random.integers(0, 256, len(places))
            (tmp_path / "damaged").write_bytes(damaged.tobytes()[: random.integers(1, 2 * len(whole))])
            try:
                image = convert.load(tmp_path / "damaged", SHAPE)
            except UserError as error:
                assert "\n" not in str(error)
                refused += 1
            else:
                assert image.shape == SHAPE and image.dtype == np.uint8
    assert refused > 70


@pytest.mark.slow
def test_a_photo_of_40_megapixels_takes_less_than_a_gigabyte(tmp_path: Path) -> None:
    path = save(tmp_path / "photo.jpg", t_shirt().resize((8000, 5000), Image.Resampling.NEAREST), **turned())
    program = (
        "import re, sys; from pathlib import Path; from pictures import convert\n"
        "print(convert.load(Path(sys.argv[1]), (28, 28)).any())\n"
        # ru_maxrss would include the memory of the process that started this one
        "print(re.search(r'VmHWM:\\s*(\\d+) kB', Path('/proc/self/status').read_text())[1])"
    )
    command = [sys.executable, "-c", program, str(path)]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert printed[0] == "True"
    assert int(printed[1]) < 1_000_000  # kB


def test_folders_are_searched_without_files_of_the_system(tmp_path: Path) -> None:
    for name in ("b.png", "a/c.png", "a/.hidden.png", ".git/x.png", "Thumbs.db", "a/no-suffix"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a/loop").symlink_to(tmp_path)
    found, errors = files.pictures_in([tmp_path / "b.png", tmp_path])
    assert [str(path.relative_to(tmp_path)) for path in found] == ["b.png", "a/c.png", "a/no-suffix"]
    assert errors == []


def test_folders_that_are_empty_or_cannot_be_read_are_errors_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("empty", "a", "a/locked", "a/z"):
        (tmp_path / name).mkdir()
    (tmp_path / "a/z/c.png").touch()
    iterdir = Path.iterdir

    def refuse(folder: Path) -> Iterator[Path]:
        if folder.name == "locked":  # root can read every folder
            raise PermissionError(errno.EACCES, "Permission denied")
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    too_long = Path("x" * 300)
    found, errors = files.pictures_in([tmp_path / "empty", too_long, tmp_path / "a"])
    assert found == [too_long, tmp_path / "a/z/c.png"], "loading it reports that its name is too long"
    assert [str(error) for error in errors] == [
        f"{tmp_path}/empty: a folder without pictures", f"{tmp_path}/a/locked: Permission denied",
    ]  # fmt: skip
    with pytest.raises(UserError, match="too long"):
        convert.load(too_long, SHAPE)


# Predictions


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with params.yaml, an untrained model for 32×20 pixels, and no training images."""
    folder = tmp_path_factory.mktemp("untrained")
    shutil.copy(ROOT / "params.yaml", folder)
    keras.utils.set_random_seed(1)
    network = models.build(load_params(folder / "params.yaml").model, np.zeros((1, 32, 20), np.uint8), 10)
    model_file.write_model(folder / "models/model.keras", network)
    return folder


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python with the modules of this project in another folder."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_pictures_are_classified_and_a_broken_one_is_reported(untrained: Path) -> None:
    save(untrained / "photos/b/t-shirt.jpg", t_shirt())
    save(untrained / "photos/a.png", rectangle(100, 70))
    (untrained / "photos/broken.gif").write_bytes(b"GIF89a")
    save(untrained / "my \udcff photo.png", rectangle(10, 70))
    result = run(untrained, "-m", "pictures.predict", "photos", "my \udcff photo.png", "missing.jpg", "photos/a.png")
    assert result.returncode == 1
    *_, first, second, third = result.stderr.splitlines()
    assert first == "error: predict: 2 of 5 pictures cannot be read:"
    assert second.startswith("  photos/broken.gif: ")
    assert third == "  missing.jpg: no such file"
    assert "not compared with the training images" in result.stderr
    assert "Traceback" not in result.stderr

    table = tables.read(untrained / "predictions/predictions.csv", predict.SCHEMA)
    class_names = load_params(ROOT / "params.yaml").dataset.classes
    names = ["photos/a.png", "photos/b/t-shirt.jpg", "my � photo.png"]
    assert table["file"].tolist() == np.repeat(names, 10).tolist()
    assert table["class"].tolist() == class_names * 3
    assert np.allclose(table.groupby("file")["probability"].sum(), 1, atol=1e-3)
    head, *lines = result.stdout.splitlines()[:4]
    assert head.split("  ")[0] == "picture"
    for name, line in zip(names, lines, strict=True):
        probability = table[table["file"] == name].set_index("class")["probability"].nlargest(3)
        printed, *best = re.split("  +", line)
        assert printed == name
        for cell, (label, share) in zip(best, probability.items(), strict=True):
            assert cell.startswith(f"{label} ") and cell.endswith(" %")
            assert abs(float(cell.split()[-2]) - 100 * share) < 0.06
    with Image.open(untrained / "predictions/predictions.png") as figure:
        assert figure.width > 1000 and figure.height > 1000


def test_classes_of_another_model_are_not_used(untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(untrained)
    save(Path("a.png"), t_shirt())
    params, model = load_params(), "models/model.keras"

    def write_lock(md5: str, classes: list[str]) -> None:
        train = {"outs": [{"path": model, "md5": md5}], "params": {"params.yaml": {"dataset.classes": classes}}}
        Path("dvc.lock").write_text(json.dumps({"stages": {"train": train}}))

    of_the_file = snapshot.md5(Path(model).read_bytes())
    write_lock("0" * 32, params.dataset.classes)
    assert "model.keras is not the model of dvc.lock; dvc ch" in failure(monkeypatch, predict.main, "a.png")
    write_lock(of_the_file, params.dataset.classes[::-1])
    assert "model.keras was trained with other classes than" in failure(monkeypatch, predict.main, "a.png")
    write_lock(of_the_file, params.dataset.classes)
    predict.check_classes(params)
    Path("dvc.lock").write_text("stages: {}")
    predict.check_classes(params)
    Path("dvc.lock").unlink()


def test_predictions_replace_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions/mine.txt").touch()
    assert "mine.txt, which is not part of earlier predictions" in failure(monkeypatch, predict.main, "a.png")
    (tmp_path / "predictions/mine.txt").rename(tmp_path / "predictions/.DS_Store")
    assert "models/model.keras is missing" in failure(monkeypatch, predict.main, "a.png")
    (tmp_path / "broken.keras").write_bytes(b"PK")
    assert "not a model of this pipeline" in failure(monkeypatch, predict.main, "a.png", "--model", "broken.keras")


def failure(monkeypatch: pytest.MonkeyPatch, main: Callable[[], None], *arguments: str) -> str:
    """The message with which a command fails."""
    monkeypatch.setattr(sys, "argv", ["command", *arguments])
    with pytest.raises(SystemExit) as ended, cli.one_line_errors("command", lists=True):
        main()
    return str(ended.value)


def test_images_unlike_the_training_images_are_noted(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = idx.make_images(np.arange(1000, dtype=np.uint8) % 10, random)
    save_split(tmp_path, Split(images, np.zeros(1000, np.uint8)))
    usual = likeness.usual_range(tmp_path, SHAPE, 10)
    others = idx.make_images(np.arange(1000, dtype=np.uint8) % 10, random)
    assert sum(map(bool, likeness.differences(others, usual))) < 30
    black, white, one = likeness.differences(
        np.stack([np.zeros(SHAPE), np.full(SHAPE, 255), images[0]]).astype(np.uint8), usual
    )
    assert black.startswith("mean intensity 0 (theirs: ") and "black pixels 100 % (theirs: " in black
    assert white.startswith("mean intensity 255 (theirs: ") and "white pixels 100 % (theirs: 0 % to 0 %)" in white
    assert one == ""
    with pytest.raises(UserError, match="are 28×28 pixels"):
        likeness.usual_range(tmp_path, (32, 32), 10)


def test_the_notes_say_when_the_model_is_unsure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = np.zeros((2, *SHAPE), np.uint8)
    notes = predict.unusual(images, np.array([[0.5, 0.3, 0.2], [0.4, 0.3, 0.3]]), 3)
    assert notes == ["", "unsure: no class has 50 %"]


# Datasets


class Photos:
    """A folder of pictures beside a params.yaml, and the command that makes a dataset of it."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.top = top
        self.monkeypatch = monkeypatch
        self.folder = top / "photos"
        self.random = np.random.default_rng(0)
        shutil.copy(ROOT / "params.yaml", top)
        monkeypatch.chdir(top)

    def add(self, name: str, count: int) -> list[Path]:
        """Add pictures that are images of 28×28 pixels to a subfolder."""
        images = self.random.integers(0, 256, (count, *SHAPE), dtype=np.uint8)
        return [
            save(self.folder / name / f"{number}.png", Image.fromarray(image)) for number, image in enumerate(images)
        ]

    def convert(self, *arguments: str) -> None:
        """Run the command, which must succeed."""
        self.monkeypatch.setattr(sys, "argv", ["dataset", "photos", *arguments])
        dataset.main()

    def failure(self, *arguments: str) -> str:
        """Run the command, which must fail and change nothing, and return its message."""
        before = self.snapshot()
        message = failure(self.monkeypatch, dataset.main, "photos", *arguments)
        assert self.snapshot() == before
        return message

    def snapshot(self) -> dict[str, bytes]:
        """The content of each file by its path."""
        return {str(path.relative_to(self.top)): path.read_bytes() for path in self.top.rglob("*") if path.is_file()}

    def splits(self) -> dict[str, Split]:
        """The dataset of params.yaml, read as stage prepare reads it."""
        params = load_params().dataset
        count = len(params.classes)
        (source,) = params.sources
        return {
            "train": read_split(Path(source), params.files.train_images, params.files.train_labels, count),
            "test": read_split(Path(source), params.files.test_images, params.files.test_labels, count),
        }


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Photos:
    return Photos(tmp_path, monkeypatch)


def images_of(found: list[Path]) -> list[bytes]:
    """The images of pictures that have their size already, sorted."""
    return sorted(np.asarray(Image.open(path)).tobytes() for path in found)


def test_a_folder_becomes_the_dataset_of_the_params(photos: Photos, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = {name: photos.add(name, count) for name, count in (("10", 10), ("2", 20), ("ü: #b", 30))}
    (photos.folder / "read me.txt").touch()
    photos.convert("--name", "My: things", "--test-fraction", "0.3")
    params = load_params().dataset
    assert params.name == "My: things"
    assert params.classes == ["2", "10", "ü: #b"]
    splits = photos.splits()
    assert np.bincount(splits["train"].labels).tolist() == [14, 7, 21]
    assert np.bincount(splits["test"].labels).tolist() == [6, 3, 9]
    for label, name in enumerate(params.classes):
        converted = [image.tobytes() for split in splits.values() for image in split.images[split.labels == label]]
        assert sorted(converted) == images_of(pictures[name])
    assert len(set(splits["train"].labels[-7:].tolist())) > 1  # prepare.split: last takes these
    printed = capsys.readouterr().out
    assert "My: things: 42 training and 18 test images of 28×28 pixels" in printed
    assert re.search(r"ü: #b +21 +9\n", printed)
    assert re.findall("note: .*", printed) == [
        "note: files outside of the classes' folders, which are left out: 1 (photos/read me.txt)"
    ]


def test_only_the_block_of_the_dataset_changes(photos: Photos) -> None:
    photos.add("a", 5)
    photos.add("b", 5)
    before = Path("params.yaml").read_text()
    photos.convert()
    after = Path("params.yaml").read_text()
    head, rest = before.partition("  name:")[0], before[before.index("\n\nprepare:") :]
    assert after.startswith(head) and after.endswith(rest)
    comments = re.findall(r"^  [a-z]+:.*?(# .*)$", before[len(head) : -len(rest)], re.MULTILINE)
    assert "order\n    - a\n    - b\n  files:" in after
    assert len(comments) == 4
    assert all(comment in after for comment in comments)
    assert "- data/own  # python -m pictures.dataset photos --size 28 --seed 1 --test-fraction 0.2\n" in after
    photos.convert()
    assert Path("params.yaml").read_text() == after


def test_the_seed_draws_the_test_images(photos: Photos) -> None:
    photos.add("a", 20)
    photos.add("b", 20)
    drawn = []
    for seed in ("1", "1", "2"):
        photos.convert("--seed", seed)
        drawn.append({name: content for name, content in photos.snapshot().items() if name.startswith("data/own/")})
    assert drawn[0] == drawn[1]
    for name in drawn[0].keys() - {"data/own/t10k-labels-idx1-ubyte"}:
        assert drawn[0][name] != drawn[2][name]


def test_a_folder_that_is_split_already_stays_split(photos: Photos, capsys: pytest.CaptureFixture[str]) -> None:
    training = photos.add("train/a", 8) + photos.add("train/b", 8)
    test = photos.add("test/a", 3)
    photos.convert()
    splits = photos.splits()
    assert sorted(image.tobytes() for image in splits["train"].images) == images_of(training)
    assert sorted(image.tobytes() for image in splits["test"].images) == images_of(test)
    assert "note: classes without a test image, whose recall is not measured: 1 (b)" in capsys.readouterr().out
    photos.add("test", 1)
    photos.convert()
    assert "note: files outside of the classes' folders, which are left out: 1 (photos/test/" in capsys.readouterr().out
    assert "--test-fraction" not in Path("params.yaml").read_text()
    photos.add("test/c", 1)
    assert "photos/test/c: the class has no folder in train" in photos.failure()


def test_classes_can_be_called_train_and_test(photos: Photos) -> None:
    photos.add("train", 5)
    photos.add("test", 5)
    photos.convert()
    assert load_params().dataset.classes == ["test", "train"]


def test_pictures_of_the_same_image_are_in_one_split(photos: Photos, capsys: pytest.CaptureFixture[str]) -> None:
    for path in photos.add("a", 10) + photos.add("b", 10):
        for number in range(3):
            shutil.copy(path, path.with_name(f"{path.stem}-{number}.png"))
    photos.convert("--test-fraction", "0.5")
    train, test = ({image.tobytes() for image in split.images} for split in photos.splits().values())
    assert len(train) == len(test) == 10
    assert not train & test
    in_order = [image.tobytes() for image in photos.splits()["train"].images]
    assert len(list(itertools.groupby(in_order))) == 10, "copies stand together"
    line = r"note: pictures that become the same image: 20 \(photos/a/0-0.png = photos/a/0-1.png = .*, …\)\n"
    printed = capsys.readouterr().out
    assert re.search(line, printed)
    assert "in both" not in printed and "in several" not in printed


def test_copies_across_splits_and_classes_are_noted(photos: Photos, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *_ = photos.add("train/a", 5)
    photos.add("train/b", 5)
    photos.add("test/a", 5)
    shutil.copy(first, photos.folder / "test/a/copy.png")
    shutil.copy(second, photos.folder / "train/b/copy.png")
    photos.convert()
    printed = capsys.readouterr().out
    assert "note: of them, in both training and test: 1 (photos/test/a/copy.png = photos/train/a/0.png)" in printed
    assert "note: of them, in several classes: 1 (photos/train/a/1.png = photos/train/b/copy.png)" in printed


def test_small_classes_and_blank_pictures_are_noted(photos: Photos, capsys: pytest.CaptureFixture[str]) -> None:
    photos.add("a", 5)
    photos.add("single", 1)
    save(photos.folder / "a/white.png", Image.new("L", SHAPE, 255))
    photos.convert()
    printed = capsys.readouterr().out
    assert "note: classes of a single picture: 1 (single)" in printed
    assert "note: classes without a test image, whose recall is not measured: 1 (single)" in printed
    assert "note: images of one colour: 1 (photos/a/white.png)" in printed


def test_unreadable_files_are_refused_or_left_out(photos: Photos, capsys: pytest.CaptureFixture[str]) -> None:
    photos.add("a", 10)
    photos.add("b", 10)
    photos.convert()
    for number in range(7):
        (photos.folder / f"a/broken-{number}.jpg").write_text("broken")
    message = photos.failure()
    assert message.startswith(
        "error: command: 7 of 27 pictures cannot be read:\n  photos/a/broken-0.jpg: not a picture"
    )
    assert message.endswith("\n  and 2 more\nWith --skip-unreadable, such files are left out.")
    before = photos.snapshot()
    photos.convert("--skip-unreadable")
    after = photos.snapshot()
    assert after["params.yaml"].count(b" --skip-unreadable\n") == 1, "in the command that made the dataset"
    after["params.yaml"] = after["params.yaml"].replace(b" --skip-unreadable", b"")
    assert after == before
    assert "left out: 7 of 27 pictures cannot be read" in capsys.readouterr().out
    (photos.folder / "c").mkdir()
    (photos.folder / "c/broken.jpg").write_text("broken")
    assert "no picture of the class c can be read" in photos.failure("--skip-unreadable")


@pytest.mark.parametrize(("folders", "message"), [
    ([], "photos: 0 subfolders with pictures; 2 to 256 are needed, one for each class"),
    (["a"], "photos: 1 subfolders with pictures"),
    ([f"{number}" for number in range(257)], "photos: 257 subfolders with pictures"),
    (["a", "b/c"], "photos/b/c: a folder in that of a class"),
    (["train/a", "train/b", "valid/a"], "photos/train/a: a folder in that of a class"),
    (["a", "loss"], "the new params.yaml: dataset.classes: should not contain loss, a column of the predictions"),
    (["a", "b\nc"], "the new params.yaml: dataset.classes.1: String should match"),
    (["a", "b\udcff"], "the new params.yaml: dataset.classes.1: should be a valid string"),
])  # fmt: skip
def test_other_folders_are_refused(photos: Photos, folders: list[str], message: str) -> None:
    photos.folder.mkdir()
    for folder in folders:
        (photos.folder / folder).mkdir(parents=True)
        (photos.folder / folder / "0.png").touch()
    assert photos.failure().startswith(f"error: command: {message}")


def test_classes_without_pictures_or_with_too_few_are_refused(photos: Photos) -> None:
    photos.add("a", 2)
    (photos.folder / "b").mkdir()
    (photos.folder / "b/.DS_Store").touch()
    assert "photos/b: a class without pictures" in photos.failure()
    photos.add("b", 2)
    assert "no class has enough pictures for a test image" in photos.failure()
    assert "the class a has no training image" in photos.failure("--test-fraction", "1")
    assert "nowhere: No such file or directory" in failure(photos.monkeypatch, dataset.main, "nowhere")


def test_a_folder_with_other_files_is_not_replaced(photos: Photos) -> None:
    photos.add("a", 5)
    photos.add("b", 5)
    (photos.top / "data/own").mkdir(parents=True)
    (photos.top / "data/own/mine.txt").touch()
    assert "data/own holds mine.txt" in photos.failure()


@pytest.mark.parametrize("written", range(5))
def test_earlier_files_stay_whole_if_the_disk_is_full(photos: Photos, written: int) -> None:
    photos.add("a", 5)
    photos.add("b", 5)
    photos.convert()
    photos.add("c", 5)
    calls = iter(range(10))

    def fail(descriptor: int) -> None:
        if next(calls) == written:
            raise OSError(28, "No space left on device")

    with photos.monkeypatch.context() as context:
        context.setattr(os, "fsync", fail)
        assert "No space left on device" in photos.failure()


def new_block() -> dict[str, Any]:
    entries = {key: {"name": name, "sha256": "0" * 64} for key, name in dataset.NAMES.items()}
    return {"name": "New", "classes": ["a", "no", "1e3"], "files": entries, "sources": ["data/own"]}


def reformatted(**options: Any) -> str:
    """params.yaml, loaded and dumped in another style."""
    yaml = YAML(**options)
    yaml.default_flow_style = False
    content = yaml.load(ROOT / "params.yaml")
    text = io.StringIO()
    yaml.dump(content, text)
    return text.getvalue()


@pytest.mark.parametrize(
    "style", ["round trip", "without comments", "dataset last", "quoted key", "line ends of Windows"]
)
def test_the_block_is_found_in_other_styles(style: str) -> None:
    parse = YAML(typ="safe", pure=True).load
    text = (ROOT / "params.yaml").read_text()
    start, end = text.index("dataset:"), text.index("prepare:")
    text = {
        "round trip": reformatted(),
        "without comments": reformatted(typ="safe", pure=True),
        "dataset last": text[:start] + text[end:] + "\n# here\n" + text[start:end].rstrip(),
        "quoted key": text.replace("dataset:", '"dataset":', 1),
        "line ends of Windows": text.replace("\n", "\r\n"),
    }[style]
    written = block.rewrite(text, new_block(), "made by a test")
    assert parse(written) == parse(text) | {"dataset": new_block()}
    kept = [line for line in text.splitlines(keepends=True) if line.startswith("  batch_size:")]
    assert len(kept) == 2
    assert all(line in written for line in kept)
    assert "- data/own  # made by a test\n" in written


def test_a_block_that_cannot_be_replaced_is_refused() -> None:
    flow = json.dumps(YAML(typ="safe", pure=True).load(ROOT / "params.yaml"), indent=2)
    with pytest.raises(UserError, match="the block dataset cannot be replaced"):
        block.rewrite(flow, new_block(), "made by a test")


# The commands


@pytest.mark.slow
def test_make_passes_values_on_as_they_are(new_project: Callable[[], Project]) -> None:
    project = new_project()
    name = "a b; touch made $(touch made) `touch made` 'x\".png"
    save(project.folder / name, t_shirt())
    result = project.run("make", "predict", f"IMAGE={name}", check=False)
    assert result.stderr.startswith("error: predict: models/model.keras is missing")
    (project.folder / "models").mkdir(exist_ok=True)
    with zipfile.ZipFile(project.folder / "models/model.keras", "w") as archive:
        config = {"config": {"layers": [{"config": {"batch_shape": [None, 28, 28, 1]}}]}}
        archive.writestr("config.json", json.dumps(config))
    result = project.run("make", "predict", "IMAGE=~/none.png  -x.png n*e.png", check=False)
    for missing in (str(Path.home() / "none.png"), "-x.png", "n*e.png"):
        assert f"  {missing}: no such file" in result.stderr
    assert project.run("make", "predict", check=False).stderr.startswith("error: no picture given; set IMAGE=…")
    assert project.run("make", "dataset", check=False).stderr.startswith("error: no folder given; set FOLDER=…")
    for label in ("a", "b"):
        for size in range(40, 50):
            save(
                project.folder / f"folder {name}" / label / f"{size}.png",
                rectangle(50, size if label == "a" else 2 * size),
            )
    result = project.run("make", "dataset", f"FOLDER=folder {name}", f"NAME={name}", "SIZE=40")
    assert f"{name}: 16 training and 4 test images of 40×40 pixels" in result.stdout
    assert load_params(project.folder / "params.yaml").dataset.name == name
    assert not (project.folder / "made").exists()
    assert project.git("status", "--porcelain", "--untracked-files=all", "data", "predictions") == ""


# Slow: through the whole pipeline


def accuracy(project: Project) -> float:
    """The accuracy on the test split, as evaluate measured it."""
    scores = json.loads((project.folder / paths.SCORES).read_text())
    return float(scores["test"]["accuracy"])


def most_probable(folder: Path) -> "pd.Series[str]":
    """The most probable class of each file, by its path, of the predictions in a folder."""
    table = tables.read(folder / "predictions.csv", predict.SCHEMA)
    best = table.loc[table.groupby("file")["probability"].idxmax()]
    return best.set_index("file")["class"]


@pytest.mark.slow
def test_grey_png_pictures_of_digits_become_a_dataset_that_is_learned(
    new_project: Callable[[], Project], tmp_path: Path
) -> None:
    project = new_project()
    shutil.copy(ROOT / "params.yaml", project.folder)
    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        ink = Image.fromarray((255 * (1 - image / 16)).astype(np.uint8))
        save(project.folder / f"my digits/{label}/{number:04}.png", ink)
    printed = project.run("make", "dataset", "FOLDER=my digits", "NAME=Hand-written digits", "SIZE=32").stdout
    project.dvc("repro")
    assert accuracy(project) > 0.95
    page = (ROOT / "docs/pictures.md").read_text()
    shown = page[page.index("Hand-written digits: ") :].partition("\n```")[0].splitlines()
    assert [line for line in printed.splitlines() if line in shown] == [line for line in shown if line[-1] != "…"]
    project.run("make", "predict", "IMAGE=my digits")
    predicted = most_probable(project.folder / "predictions")
    assert len(predicted) == 1797
    assert (predicted == [Path(path).parent.name for path in predicted.index]).mean() > 0.95

    project.git("add", "params.yaml", "dvc.lock", "metrics", "plots")
    project.git("commit", "--quiet", "--message", "digits")
    project.dvc("remote", "add", "--local", "--default", "storage", str(tmp_path / "remote"))
    project.dvc("push", "--run-cache")
    project.git("clone", "--quiet", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.dvc("remote", "add", "--local", "--default", "storage", str(tmp_path / "remote"))
    clone.dvc("pull", "--run-cache")
    assert "Running stage" not in clone.dvc("repro")

    quoted = f"test accuracy of {percent(accuracy(project))}" in page
    if not quoted and is_untested_cpu():
        pytest.xfail("no real CPU of this kind has been tested")
    assert quoted


@pytest.mark.slow
def test_jpeg_photos_in_colour_become_a_dataset_that_is_learned(new_project: Callable[[], Project]) -> None:
    project = new_project()
    random = np.random.default_rng(0)
    for name, photo in zip(("china", "flower"), load_sample_images().images, strict=True):
        for number in range(400):
            side = random.integers(150, 350)
            top, left = (random.integers(0, whole - side) for whole in photo.shape[:2])
            crop = Image.fromarray(photo[top : top + side, left : left + side])
            save(project.folder / f"photos/{name}/{number}.jpg", crop, quality=90)
    project.run("make", "dataset", "FOLDER=photos")  # of 28×28 pixels
    project.set_params(train__epochs=10)
    project.dvc("repro")
    assert accuracy(project) > 0.85
    assert load_params(project.folder / "params.yaml").dataset.name == "photos"


def check_predictions(project: Project, output: Path, flip: bool = False) -> None:
    """Save the test images of a project with results as PNG, and check that they are classified as by evaluate.

    flip: save their horizontal flips instead.
    """
    images = artifacts.read_array(project.folder / paths.TEST_SPLIT / "images.npy")
    if flip:
        images = images[:, :, ::-1]
    for number, image in enumerate(images):
        save(output / f"images/{number:05}.png", Image.fromarray(image))
    arguments = [str(output / "images"), "--output", str(output / "predictions")]
    printed = project.run(sys.executable, "-m", "pictures.predict", *arguments).stdout.splitlines()
    class_names = load_params(project.folder / "params.yaml").dataset.classes
    evaluated = tables.read_predictions(project.folder / paths.PREDICTIONS, class_names)
    found = tables.read(output / "predictions/predictions.csv", predict.SCHEMA)
    probabilities = found["probability"].to_numpy().reshape(len(images), len(class_names))
    assert (probabilities == evaluated[class_names].to_numpy()).all()
    for line, predicted in zip(printed[1:], evaluated["predicted"], strict=False):
        assert re.split("  +", line)[1].startswith(f"{predicted} ")


@pytest.mark.slow
def test_the_average_over_flips_is_that_of_evaluate(
    new_finished_project: Callable[[], Project], tmp_path: Path
) -> None:
    """Only with the average do an image and its flip get the same probabilities."""
    project = new_finished_project()
    project.set_params(evaluate__flip_average=True)
    project.dvc("repro")
    check_predictions(project, tmp_path, flip=True)
