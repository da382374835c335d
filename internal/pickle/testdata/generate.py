"""Writes protocol0.pkl to protocol5.pkl: {"labels": [3, 5], "data": array of 2x4 bytes, ...}.

The arrays are pickled exactly as NumPy pickles them (ndarray.__reduce_ex__), with stand-ins
for its functions, so that NumPy is not needed.
"""

import pickle
import sys
import types


def module(name):
    m = sys.modules[name] = types.ModuleType(name)
    return m


core = module("numpy.core")
multiarray, numeric, numpy = module("numpy.core.multiarray"), module("numpy.core.numeric"), module("numpy")
numpy.core, core.multiarray, core.numeric = core, multiarray, numeric


def named(name, module, function):
    function.__module__, function.__name__, function.__qualname__ = module.__name__, name, name
    setattr(module, name, function)
    return function


reconstruct = named("_reconstruct", multiarray, lambda *a: None)
frombuffer = named("_frombuffer", numeric, lambda *a: None)
scalar = named("scalar", multiarray, lambda *a: None)


class dtype:
    def __init__(self, name, order):
        self.name, self.order = name, order

    def __reduce__(self):
        return dtype, (self.name, False, True), (3, self.order, None, None, None, -1, -1, 0)


class ndarray:
    def __init__(self, shape, type, content):
        self.shape, self.type, self.content = shape, type, content

    def __reduce_ex__(self, protocol):
        if protocol >= 5:
            return frombuffer, (pickle.PickleBuffer(self.content), self.type, self.shape, "C")
        return reconstruct, (ndarray, (0,), b"b"), (1, self.shape, self.type, False, self.content)


class int64:
    def __init__(self, value):
        self.value = value

    def __reduce__(self):
        return scalar, (dtype("i8", "<"), self.value.to_bytes(8, "little", signed=True))


for c in (dtype, ndarray, int64):
    c.__module__ = "numpy"
    c.__qualname__ = c.__name__
    setattr(numpy, c.__name__, c)

for protocol in range(6):
    value = {
        "labels": [3, 5],
        "data": ndarray((2, 4), dtype("u1", "|"), bytes([0, 1, 10, 39, 92, 128, 200, 255])),
        "array": ndarray((2,), dtype("i8", ">"), (3).to_bytes(8, "big") + (-5).to_bytes(8, "big", signed=True)),
        "scalars": (int64(3), int64(-5)),
        "text": "a\u00e9\u20ac\\u\n",
        "bytes": b"\x00\xff",
        "empty": b"",
        "numbers": [0, 255, 65535, -1, 2**40, -(2**40), 0.5, True, False, None],
        "set": {7},
        "long": "x" * 300,
    }
    with open(f"protocol{protocol}.pkl", "wb") as f:
        pickle.dump(value, f, protocol=protocol)
