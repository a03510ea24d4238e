"""What Fraunhofer's NNC (ISO/IEC 15938-17, PyPI nncodec 2.1.3) makes of the same levels: python nnc_peer.py FILE

FILE is JSON: a list of {"shape": [...], "codes": [...]}, every tensor of a network as whole numbers. NNC codes whole numbers
without loss, so that the network which comes back is the same and no step size has to be found; what the numbers are
multiplied by is not counted. Names are one letter each, and all settings that change the bytes are tried: the order of the
axes, lines that hold nothing left out (which are out is then coded as a tensor of its own), the scan order, the unary
length, skipped rows, and parameters estimated or not. Prints JSON: the fewest bytes, with which settings, with the defaults
of the tool on the tensors as they are, and the milliseconds to code and decode with the settings that won.
"""

import itertools
import json
import statistics
import sys
import time
import types

import numpy as np

try:
    import torch  # noqa: F401
except ImportError:
    # Its loaders of models want PyTorch; the codec does not.
    framework = types.ModuleType("nncodec.framework")
    for name in ("tensorflow_model", "pytorch_model", "use_case_init"):
        module = types.ModuleType(f"nncodec.framework.{name}")
        setattr(framework, name, module)
        sys.modules[module.__name__] = module
    sys.modules["nncodec.framework"] = framework

from nncodec.nnc.compression import compress, decompress


def outputs_first(tensor):
    """PyTorch's order of axes: outputs, inputs, then places."""
    if tensor.ndim == 4:
        return np.ascontiguousarray(tensor.transpose(3, 2, 0, 1))
    return np.ascontiguousarray(tensor.T)


def without_empty_lines(tensor):
    """The rows and columns that hold something, and which they are."""
    if tensor.ndim < 2:
        return [tensor]
    flat = tensor.reshape(-1, tensor.shape[-1]) if tensor.ndim == 4 else tensor
    rows, columns = flat.any(1), flat.any(0)
    return [flat[rows][:, columns], rows.astype(np.int32), columns.astype(np.int32)]


def named(tensors):
    return {chr(97 + i): np.ascontiguousarray(t) for i, t in enumerate(tensors)}


layouts = {
    "as they are": lambda tensors: named(tensors),
    "outputs first": lambda tensors: named(map(outputs_first, tensors)),
    "without empty lines": lambda tensors: named(t for one in tensors for t in without_empty_lines(one)),
    "without empty lines, outputs first": lambda tensors: named(
        outputs_first(t) for one in tensors for t in without_empty_lines(one)
    ),
}


def coded(parameters, **settings):
    return compress(dict(parameters), bitstream_path=None, return_bitstream=True, **settings)


def milliseconds(work, runs=7):
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def main(path):
    with open(path) as file:
        tensors = [np.array(t["codes"], np.int32).reshape(t["shape"]) for t in json.load(file)]
    tried = []

    def attempt(layout, **settings):
        tried.append((len(coded(layouts[layout](tensors), **settings)), layout, settings))

    # The order of scanning is for matrices as they lie; the rest is tried on the best two of that.
    for layout, scan in itertools.product(layouts, (0, 1, 2)):
        attempt(layout, scan_order=scan)
    for _, layout, settings in sorted(tried, key=lambda one: one[0])[:2]:
        for unary, skipping in itertools.product((0, 1, 2, 4, 10), (False, True)):
            attempt(layout, **settings, cabac_unary_length_minus1=unary, row_skipping=skipping)
        attempt(layout, **settings, param_opt=False)
    size, layout, settings = min(tried, key=lambda one: one[0])
    parameters = layouts[layout](tensors)
    stream = coded(parameters, **settings)
    back = decompress(stream)
    for name, values in parameters.items():
        if not np.array_equal(back[name], values):
            raise SystemExit(f"{name} came back changed")
    print(
        json.dumps(
            {
                "bytes": size,
                "defaults": len(coded(layouts["as they are"](tensors))),
                "settings": {"layout": layout, **settings},
                "tried": len(tried),
                "encode": milliseconds(lambda: coded(parameters, **settings)),
                "decode": milliseconds(lambda: decompress(stream)),
            }
        )
    )


main(sys.argv[1])
