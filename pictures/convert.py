"""Pictures as the images of a dataset, converted as the authors of Fashion-MNIST converted theirs.

Their steps (Xiao, Rasul and Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine learning
algorithms, 2017, section 2) are those of `convert`. Where the paper leaves something open, the functions below say what
is done here.
"""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from classifier.errors import UserError
from pictures.files import one_line

# The formats that are read. Others of Pillow's are not: EPS, for one, would start another program.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000")
MAX_PIXELS = 100_000_000  # of a file: decoding takes up to 16 bytes for each
CLOSE = 0.05  # greatest distance of trimmed colours from the corner's, as a share of that of black and white
RGB = 3
LUMA = np.array([0.299, 0.587, 0.114])  # the grey of a colour (ITU-R BT.601)
WHITE = 255
NOISE = 16  # a smaller difference between the darkest and the brightest pixel is noise
MIDDLE = 128  # backgrounds of this grey or brighter are bright
LAPLACE = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]])


def load(path: Path, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Read a picture file and convert it to an image of a dataset: uint8 of the given shape (height, width).

    Raises:
        UserError: as by read.
    """
    return convert(read(path), shape)


def read(path: Path) -> Image.Image:
    """Read a picture file as RGB with 8 bits per channel, upright, on white where it is transparent.

    Of an animation, or of a file with several pages, this is the first one.

    Raises:
        UserError: the file is missing, empty, not a picture of one of FORMATS, broken, or too large.
    """
    name = one_line(path)
    try:
        if not path.is_file():  # reading a pipe would wait for ever
            raise UserError(f"{name}: {'not a file' if path.exists() else 'no such file'}")
        if not path.stat().st_size:
            raise UserError(f"{name}: the file is empty")
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise UserError(f"{name}: {width:,}×{height:,} pixels, but at most {MAX_PIXELS:,} are read")
            if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):  # nothing says what is white
                raise UserError(f"{name}: pixels of 32 bits are not supported; save it with 8 or 16 bits")
            return _to_rgb(ImageOps.exif_transpose(image))
    except UserError:
        raise
    except UnidentifiedImageError:
        raise UserError(f"{name}: not a picture in one of the formats {', '.join(FORMATS)}") from None
    except Exception as error:  # of any kind: each of Pillow's decoders has its own
        reason = " ".join((str(error) or type(error).__name__).split())
        raise UserError(f"{name}: cannot be read as a picture ({reason:.200})") from None


def convert(picture: Image.Image, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Convert a picture, RGB, to an image of a dataset: uint8 of the given shape (height, width).

    1. Trim edges whose colours are close to that of their corner.
    2. Scale the longest edge to the image's by sampling: some rows and columns are skipped, or repeated.
    3. Sharpen it, the more the nearer to outlines.
    4. Extend the shortest edge, with the picture in the centre. The paper does not say with which colour: with the
       picture's background, the median of its corners.
    5. Negate the intensities. The pictures of Fashion-MNIST have a white background. A dark background is not negated
       here, so that it is dark in all images.
    6. Convert to grey.
    7. Stretch the intensities, so that the darkest pixel is 0 and the brightest 255. The paper does not name this step,
       but each of the 70,000 images of Fashion-MNIST has a pixel of 0 and one of 254 or 255. A picture of nearly one
       colour is left as it is, since it has nothing but noise.

    A grey picture that already has this shape is an image of a dataset, and is returned as it is.
    """
    pixels = np.asarray(picture)
    grey: NDArray[np.uint8] = pixels[..., 0]
    if grey.shape == shape and (pixels == grey[..., None]).all():
        return grey.copy()
    background = np.median(pixels[[0, 0, -1, -1], [0, -1, 0, -1]], axis=0)
    sharp = _sharpen(_sample(_trim(pixels), shape))
    canvas = np.full((*shape, RGB), background)
    top, left = ((whole - part + 1) // 2 for whole, part in zip(shape, sharp.shape, strict=False))
    canvas[top : top + sharp.shape[0], left : left + sharp.shape[1]] = sharp
    intensity = canvas @ LUMA
    if background @ LUMA >= MIDDLE:
        intensity = WHITE - intensity
    contrast = intensity.max() - intensity.min()
    if contrast >= NOISE:
        intensity = (intensity - intensity.min()) * (WHITE / contrast)
    image: NDArray[np.uint8] = intensity.round().astype(np.uint8)
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    """A picture of any other mode as RGB with 8 bits per channel, on white where it is transparent."""
    if image.mode.startswith("I"):  # 0 to 65535
        grey, transparent = np.asarray(image), image.info.get("transparency", -1)  # of PNG: one intensity
        image = Image.fromarray((grey / 257).round().astype(np.uint8))
        image.putalpha(Image.fromarray(255 * (grey != transparent).astype(np.uint8)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _trim(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Remove the edges that are close to the colour of their corner. pixels: of shape (height, width, 3).

    A picture that would be removed as a whole is returned as it is.
    """
    columns = pixels.swapaxes(0, 1)
    top = _blank_lines(pixels, pixels[0, 0])
    if top == len(pixels):
        return pixels
    bottom = len(pixels) - _blank_lines(pixels[::-1], pixels[-1, 0])
    left = _blank_lines(columns, pixels[0, 0])
    right = len(columns) - _blank_lines(columns[::-1], pixels[0, -1])
    return pixels[top:bottom, left:right] if top < bottom and left < right else pixels


def _blank_lines(lines: NDArray[np.uint8], colour: NDArray[np.uint8]) -> int:
    """How many of the first lines, of shape (n, length, 3), have only colours that are close to the given one."""
    limit = RGB * (CLOSE * WHITE) ** 2
    target = colour.astype(np.int32)
    for position, line in enumerate(lines):
        if (np.square(line - target).sum(axis=1) > limit).any():
            return position
    return len(lines)


def _sample(pixels: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale a picture, (height, width, 3), to the largest that fits into the shape, by the nearest pixels."""
    scale = min(whole / part for whole, part in zip(shape, pixels.shape, strict=False))
    kept = []
    for length in pixels.shape[:2]:
        count = max(1, int(length * scale + 0.5))
        kept.append(np.ceil((np.arange(count) + 0.5) * length / count).astype(int) - 1)
    return pixels[np.ix_(*kept)]


def _sharpen(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Sharpen the outlines of a picture, (height, width, 3), by a Gaussian of radius and standard deviation 1.

    The paper says no more than "with increasing effect near outlines". ImageMagick describes its -adaptive-sharpen in
    these words, so this does the same: it sharpens where the smoothed edges are at least half as bright as the
    brightest ones.
    """
    picture = pixels.astype(float)
    distance = np.arange(-1, 2)
    gaussian = np.exp(-(distance[:, None] ** 2 + distance**2) / 2)
    kernel = -gaussian
    kernel[1, 1] = 2 * gaussian.sum()
    edges = _stretch(_filter(_stretch(_filter(picture, LAPLACE)), gaussian))
    return np.where((edges @ LUMA >= 0.5)[..., None], _filter(picture, kernel / kernel.sum()), picture).clip(0, WHITE)


def _stretch(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale values so that the largest is 1; negative ones become 0."""
    positive = values.clip(0, WHITE)
    return positive / (positive.max() or 1)


def _filter(values: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolve along the first two axes; beyond the edges, the nearest pixels continue."""
    weights = kernel.reshape(*kernel.shape, *[1] * (values.ndim - 2))
    filtered: NDArray[np.float64] = ndimage.correlate(values, weights, mode="nearest")
    return filtered
