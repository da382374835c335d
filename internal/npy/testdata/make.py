"""Writes the files of this folder with NumPy: python3 make.py"""

import gzip
import io

import numpy as np
from numpy.lib import format as fmt

EDGES = {
    "f": [0, -0.0, 1.5, -2.25, np.inf, 6e-5],
    "i": [0, 1, -1, 100, -128, 127],
    "u": [0, 1, 2, 100, 200, 255],
    "b": [True, False, False, True, True, False],
}


def array(dtype):
    return np.array(EDGES[dtype.strip("<>")[0]], dtype=dtype).reshape(2, 3)


for dtype in "f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1".split():
    np.save(f"{dtype}.npy", array(dtype))
    if dtype[1] != "1":
        np.save(f"{dtype}_big.npy", array(">" + dtype))
np.save("scalar.npy", np.float32(2.5))
np.save("vector.npy", np.arange(3, dtype="<u8"))
np.save("empty.npy", np.zeros((0, 4), "<f4"))
np.save("fortran.npy", np.asfortranarray(np.arange(24, dtype="<i2").reshape(2, 3, 4)))
np.save("fortran_big.npy", np.asfortranarray(np.arange(24, dtype=">f8").reshape(2, 3, 4)))
for version in (2, 3):
    with open(f"version{version}.npy", "wb") as f:
        fmt.write_array(f, array("f4"), version=(version, 0))
np.save("object.npy", np.array([{}, None], dtype=object))
TEXTS = np.array([["ab", "", "ü→😀"], ["a b", "c\0d", "x"]])
np.save("text.npy", TEXTS)
np.save("text_big.npy", np.asfortranarray(TEXTS.astype(">U3")))
np.save("bytes.npy", np.array([b"ab", b"\xff", b""]))
np.savez("arrays.npz", **{"a/b": array("f4"), "text": TEXTS, "half": array("f2")})
np.save("complex.npy", np.array([1j]))
np.save("structured.npy", np.zeros(2, [("a", "<f4"), ("b", "<i2")]))
b = io.BytesIO()
np.save(b, array("f4"))
with open("gzip.npy", "wb") as f:
    f.write(gzip.compress(b.getvalue(), mtime=0))
