"""Other people's implementations judge our files: one request a line on standard input, one answer a line on standard output."""
import base64
import json
import sys

import numpy as np


def unpack(value):
    return np.frombuffer(base64.b64decode(value["data"]), dtype=value["dtype"]).reshape(value["shape"])


def pack(array):
    array = np.asarray(array, order="C")
    return {"dtype": str(array.dtype), "shape": list(array.shape), "data": base64.b64encode(array.tobytes()).decode()}


def safetensors_read(path):
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return {"metadata": file.metadata(), "tensors": {name: pack(file.get_tensor(name)) for name in file.keys()}}


def safetensors_write(path, tensors):
    from safetensors.numpy import save_file

    save_file({name: unpack(value) for name, value in tensors.items()}, path)


def halves(values):
    """float16 by NumPy, bfloat16 by ml_dtypes, where it is."""
    values = unpack(values)
    with np.errstate(over="ignore"):
        return pack(values.astype(np.float16).view(np.uint16))


def onnx_check(path):
    import onnx

    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    return {"opset": model.opset_import[0].version, "nodes": [node.op_type for node in model.graph.node]}


def onnx_run(path, inputs, level="all"):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if level == "none":
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {item.name: unpack(value) for item, value in zip(session.get_inputs(), inputs)}
    return [pack(output) for output in session.run(None, feeds)]


def tflite_run(path, inputs, delegates=True):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.AUTO if delegates else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_path=path, num_threads=1, experimental_op_resolver_type=resolver)
    details = interpreter.get_input_details()
    for detail, value in zip(details, inputs):
        array = unpack(value)
        if list(detail["shape"]) != list(array.shape):
            interpreter.resize_tensor_input(detail["index"], array.shape)
    interpreter.allocate_tensors()
    for detail, value in zip(details, inputs):
        interpreter.set_tensor(detail["index"], unpack(value))
    interpreter.invoke()
    return [pack(interpreter.get_tensor(detail["index"])) for detail in interpreter.get_output_details()]


def gguf_read(path):
    from gguf import GGUFReader, dequantize

    reader = GGUFReader(path)
    return {
        "fields": sorted(name for name in reader.fields if not name.startswith("GGUF.")),
        "tensors": {
            tensor.name: {
                "type": tensor.tensor_type.name,
                "values": pack(dequantize(tensor.data, tensor.tensor_type).astype(np.float32)),
            }
            for tensor in reader.tensors
        },
    }


def gguf_quantize(values, kind):
    from gguf import GGMLQuantizationType, quantize

    return pack(quantize(unpack(values), GGMLQuantizationType[kind]))


for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"result": globals()[request["call"]](*request["args"])}
    except Exception as error:  # The test decides what an error means.
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
