"""The trainer of the released TensorFlow code as its own script runs it: a peer of docs/performance.md.

Its episodes are those of its script: drawn from a NumPy cache in its graph, a quarter turn for each
class, one episode and one step of plain SGD at a time. The code is not part of this project: fetch the
folder `hypertransformer` of google-research (its parent is CODE) and, with Python 3.11,

    pip install -r benches/peers/released-requirements.txt
    python benches/peers/released.py CODE OMNIGLOT
    python benches/peers/released.py CODE OMNIGLOT --threads 1

OMNIGLOT holds images_background.npz and images_evaluation.npz (docs/datasets.md). TensorFlow takes
its threads as it likes, which is how the script runs; `--threads` holds both its pools to a number.
Prints CPU and clock milliseconds per step, of one process, between two steps.
"""

import argparse
import shlex
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf2
import tensorflow.compat.v1 as tf

WARM_UP = 100


def cache(omniglot, side, folder):
    """The released code's cache: [class, sample, H, W, 1] bytes, 255 is paper."""
    parts = [np.load(omniglot / f"images_{part}.npz")["images"] for part in ("background", "evaluation")]
    classes = []
    for images in np.concatenate(parts):
        pixels = (images != 0).astype(np.float32)[..., None] * 255
        classes.append(tf2.image.resize(pixels, [side, side], method="area").numpy().astype(np.uint8))
    np.save(folder / "omniglot.npy", np.stack(classes))


def script_flags(code):
    script = code / "hypertransformer/tf/scripts/omniglot_1shot_v1.sh"
    words = shlex.split(script.read_text().replace("$@", ""), comments=True)
    return [word for word in words if word.startswith("--")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("code", type=Path)
    parser.add_argument("omniglot", type=Path)
    parser.add_argument("--threads", type=int, help="of both of TensorFlow's pools")
    parser.add_argument("--side", type=int, default=28, help="pixels of the images in the cache")
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    sys.path.insert(0, str(options.code))
    if options.threads:
        pools = {f"{pool}_op_parallelism_threads": options.threads for pool in ("intra", "inter")}
        tf.Session = partial(tf.Session, config=tf.ConfigProto(**pools))
    with tempfile.TemporaryDirectory() as folder:
        cache(options.omniglot, options.side, Path(folder))
        measure(options, folder)


def measure(options, folder):
    from absl import flags
    from hypertransformer.tf import train
    from hypertransformer.tf.core import common

    last = WARM_UP + options.steps
    marks = []

    def mark(step, session, results):
        del step, session, results
        marks.append((time.process_time(), time.perf_counter()))

    run = common.train

    def watched(config, state, run_options=None):
        state.per_step_fn = mark
        return run(config, state, run_options)

    common.train = watched
    paths = [f"--data_numpy_dir={folder}", f"--train_log_dir={folder}/log", f"--train_steps={last + 1}"]
    flags.FLAGS([sys.argv[0], *script_flags(options.code), *paths])
    train.main([sys.argv[0]])
    cpu, wall = (
        (after - before) / options.steps * 1e3 for before, after in zip(marks[WARM_UP], marks[last])
    )
    parameters = sum(int(np.prod(v.shape)) for v in tf.trainable_variables() if "shared_head" not in v.name)
    print(f"cpu_ms {cpu:.2f}, clock_ms {wall:.2f}, {parameters} parameters", flush=True)


if __name__ == "__main__":
    main()
