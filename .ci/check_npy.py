"""Compares folders of .npy files with what came back of them through ONNX, with
NumPy: check_npy.py SOURCE AGAIN [SOURCE AGAIN ...]. Every array of SOURCE, also a
compressed one, must be in AGAIN as plain .npy: the same name, type, shape and
values. Values of a float64 array that float32 cannot hold must be rounded to it."""

import gzip
import io
import pathlib
import sys

import numpy as np


def array(path):
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    return np.load(io.BytesIO(data), allow_pickle=False)


equal = rounded = 0
folders = [pathlib.Path(p) for p in sys.argv[1:]]
for source, again in zip(folders[::2], folders[1::2], strict=True):
    files = sorted(source.rglob("*.npy")) + sorted(source.rglob("*.npy.gz"))
    if not files:
        sys.exit(f"{source}: no arrays")
    for path in files:
        back = again / str(path.relative_to(source)).removesuffix(".gz")
        old, new = array(path), np.load(back, allow_pickle=False)
        if (old.dtype, old.shape) != (new.dtype, new.shape):
            sys.exit(f"{back}: {new.dtype}{new.shape}, want {old.dtype}{old.shape}")
        if np.array_equal(old, new):
            equal += 1
        elif np.array_equal(old.astype(np.float32).astype(old.dtype), new):
            rounded += 1
        else:
            sys.exit(f"{back}: other values than {path}")
print(f"{equal} arrays equal, {rounded} rounded to float32")
