"""Crops of the pictures that ship in scikit-image's wheel: python pictures.py FOLDER

Writes held.rgb and calibration.rgb, crops of 224 x 224 x 3 bytes in rows. Held-out crops come from the left half of each
picture, those for calibration from its right half, so no pixel is in both; in each file, the first of all pictures come
before the second of any.
"""

import os
import random
import sys

import skimage
from PIL import Image

SIDE = 224
NAMES = [
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "motorcycle_left.png",
    "rocket.jpg",
    "hubble_deep_field.jpg",
    "ihc.png",
    "retina.jpg",
    "camera.png",
    "coins.png",
    "grass.png",
    "page.png",
]


def crops(half, count, seed):
    """Squares between three fifths and the whole of the shorter side, anywhere, at the network's size."""
    draw = random.Random(seed)
    for _ in range(count):
        side = int(min(half.size) * (0.6 + 0.4 * draw.random()))
        x = int(draw.random() * (half.width - side + 1))
        y = int(draw.random() * (half.height - side + 1))
        box = (x, y, x + side, y + side)
        yield half.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box).tobytes()


def main(folder):
    data = os.path.join(os.path.dirname(skimage.__file__), "data")
    parts = {"held": [], "calibration": []}
    for number, name in enumerate(NAMES):
        picture = Image.open(os.path.join(data, name)).convert("RGB")
        middle = picture.width // 2
        left = picture.crop((0, 0, middle, picture.height))
        right = picture.crop((middle, 0, picture.width, picture.height))
        parts["held"].append(list(crops(left, 2, number)))
        parts["calibration"].append(list(crops(right, 3, 100 + number)))
    for part, pictures in parts.items():
        with open(os.path.join(folder, f"{part}.rgb"), "wb") as file:
            for turn in zip(*pictures):
                for crop in turn:
                    file.write(crop)


main(sys.argv[1])
