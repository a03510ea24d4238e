"""What other tools make of the same network: python mobilenet_peers.py NETWORK.onnx FOLDER FLOAT.tflite DYNAMIC.tflite

FOLDER holds held.rgb and calibration.rgb (test/nn/pictures.py). Prints JSON: for each tool that is installed, the mean
Kullback-Leibler divergence from the float network's probabilities on the held-out pictures, in nats, and the file's bytes.
DYNAMIC.tflite has kernels of 8 bits as TFLite's converter makes them (symmetric, by channel, those below 1,024 numbers
left as floats); LiteRT also quantizes what goes into them while it runs.
"""

import json
import os
import sys
import tempfile

import numpy as np

SIDE = 224


def pictures(folder, part, count):
    data = np.fromfile(os.path.join(folder, f"{part}.rgb"), np.uint8)
    return data.reshape(-1, SIDE, SIDE, 3)[:count].astype(np.float32) / np.float32(255)


def probabilities(path, images):
    import onnxruntime as ort

    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[None]})[0] for image in images])


def divergence(p, q):
    q = np.maximum(q, 1e-30)
    return float(np.mean(np.sum(np.where(p > 0, p * np.log(np.maximum(p, 1e-30) / q), 0), axis=1)))


def onnxruntime_rows(path, folder, scratch):
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    held = pictures(folder, "held", 24)
    expected = probabilities(path, held)
    ready = os.path.join(scratch, "ready.onnx")
    quant_pre_process(path, ready, skip_symbolic_shape=True)

    class Reader(CalibrationDataReader):
        def __init__(self):
            import onnxruntime as ort

            name = ort.InferenceSession(ready).get_inputs()[0].name
            self.feeds = iter([{name: image[None]} for image in pictures(folder, "calibration", 12)])

        def get_next(self):
            return next(self.feeds, None)

    dynamic = os.path.join(scratch, "dynamic.onnx")
    quantize_dynamic(ready, dynamic, per_channel=True, weight_type=QuantType.QInt8)
    static = os.path.join(scratch, "static.onnx")
    quantize_static(
        ready,
        static,
        Reader(),
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
    )
    return {
        name: {"kl": divergence(expected, probabilities(file, held)), "bytes": os.path.getsize(file)}
        for name, file in {"dynamic": dynamic, "static": static}.items()
    }


def litert_rows(float_file, dynamic_file, folder):
    from ai_edge_litert.interpreter import Interpreter

    def run(file):
        interpreter = Interpreter(file)
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]["index"]
        target = interpreter.get_output_details()[0]["index"]
        found = []
        for image in pictures(folder, "held", 24):
            interpreter.set_tensor(source, image[None])
            interpreter.invoke()
            found.append(interpreter.get_tensor(target)[0].copy())
        return np.array(found)

    return {"litert": {"kl": divergence(run(float_file), run(dynamic_file)), "bytes": os.path.getsize(dynamic_file)}}


def main(path, folder, float_file, dynamic_file):
    rows = {}
    with tempfile.TemporaryDirectory() as scratch:
        try:
            rows |= onnxruntime_rows(path, folder, scratch)
        except ImportError as error:
            print(error, file=sys.stderr)
    try:
        rows |= litert_rows(float_file, dynamic_file, folder)
    except ImportError as error:
        print(error, file=sys.stderr)
    print(json.dumps(rows))


main(*sys.argv[1:])
