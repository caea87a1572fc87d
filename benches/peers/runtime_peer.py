"""onnxruntime as a peer of ht-runtime: one image at a time on one thread.

`runtime_peer.py MODEL` reads how many images to classify from each line of its input and answers
with the seconds that they took. The bench `runtime_peers` of ht-bundle starts it and takes turns
with it, so that all runtimes see the same minutes of the machine:

    pip install -r crates/ht-bundle/tests/requirements.txt
    HT_PYTHON=python taskset -c 0 cargo bench -p ht-bundle --bench runtime_peers
"""

import sys
import time

import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
shape = session.get_inputs()[0].shape[1:]
image = (np.arange(np.prod(shape)) * 37 % 256).astype(np.float32).reshape(1, *shape) / 128 - 1
# Input and output stay where they are: what is measured is the network, not Python's copies.
binding = session.io_binding()
binding.bind_cpu_input("image", image)
logits = np.empty((1, session.get_outputs()[0].shape[1]), np.float32)
binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
run = session.run_with_iobinding
for line in sys.stdin:
    count = int(line)
    started = time.perf_counter()
    for _ in range(count):
        run(binding)
    print(time.perf_counter() - started, flush=True)
