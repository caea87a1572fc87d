"""Checks an ONNX file and runs it: `run_onnx.py MODEL IMAGES LOGITS`.

IMAGES are bytes, LOGITS the file that is written: float32, first from one batch of all images, then
from one image at a time. Prints the metadata as JSON. The tests of ht-bundle call it.
"""

import json
import sys

import numpy as np
import onnx
import onnxruntime

model_path, images_path, logits_path = sys.argv[1:]
model = onnx.load(model_path)
onnx.checker.check_model(model, full_check=True)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(model_path, options, providers=["CPUExecutionProvider"])
(image,) = session.get_inputs()
assert image.name == "image" and image.shape[0] == "batch", (image.name, image.shape)
pixels = np.fromfile(images_path, np.uint8).reshape(-1, *image.shape[1:])
values = pixels.astype(np.float32) / 128 - 1
(batch,) = session.run(["logits"], {"image": values})
single = [session.run(["logits"], {"image": values[n : n + 1]})[0] for n in range(len(values))]
np.concatenate([batch, *single]).tofile(logits_path)
print(json.dumps({entry.key: entry.value for entry in model.metadata_props}))
