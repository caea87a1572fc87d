"""The parts of a training step in PyTorch: peers of the criterion benches, with their names and sizes.

Eight episodes of the released Omniglot script in one call, one thread, milliseconds by the clock:
medians, of the best formulation where there are several. The tables of docs/results.md are made of
runs in turns with the benches:

    pip install -r benches/peers/requirements.txt
    taskset -c 0 cargo bench -p ht-benches
    taskset -c 0 python benches/peers/parts.py
"""

import time

import torch
import torch.nn.functional as F
from torch import nn

from cases import BLOCKS, CASES, IMAGE_FEATURES, LAYERS
from pytorch import GENERATED, Block, HyperTransformer

EPISODES, CASE = 8, CASES["omniglot"]
SECONDS = 1.0


def milliseconds(run):
    """Median of runs that take a second in all, behind three that do not count."""
    times, until = [], None
    while until is None or len(times) < 8 or time.perf_counter() < until:
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
        if len(times) == 3 and until is None:
            times, until = [], time.perf_counter() + SECONDS
    return sorted(times)[len(times) // 2] * 1e3


def forward(run):
    def without_gradients():
        with torch.no_grad():
            run()

    return without_gradients


def report(name, formulations):
    """One line for the way forward and one for both ways; `formulations`: name to function."""
    for way, prepared in (
        ("forward", forward),
        ("forward and backward", lambda run: lambda: run().sum().backward()),
    ):
        found = {key: milliseconds(prepared(run)) for key, run in formulations.items()}
        best = min(found, key=found.get)
        print(f"{name}, {way}: {found[best]:.3f} ms{f' ({best})' if best else ''}", flush=True)


def image_encoder():
    side, inputs = CASE.side, CASE.inputs
    for number, stride in enumerate((2, 2, 2, 1)):
        convolution = nn.Conv2d(inputs, IMAGE_FEATURES, 3, stride, 1)
        x = torch.rand(EPISODES * CASE.support, inputs, side, side, requires_grad=number > 0)
        run = lambda x=x, convolution=convolution: F.relu(convolution(x))
        report(f"image encoder, {number + 1}", {"": run})
        side, inputs = -(-side // stride), IMAGE_FEATURES


def encoders():
    model = HyperTransformer(CASE, GENERATED["looped"])
    images = torch.rand(EPISODES, CASE.support, CASE.inputs, CASE.side, CASE.side)
    report("whole image encoder", {"": lambda: model.image_features(images)})
    side, inputs = CASE.side, CASE.inputs
    for number, generator in enumerate([*model.layers, model.logits]):
        shape = EPISODES, CASE.support, inputs, side, side
        x = torch.rand(shape, requires_grad=number > 0)
        run = lambda generator=generator, x=x: generator.features(x)
        report(f"activation encoder of layer {number + 1}", {"": run})
        side, inputs = side // 2, CASE.channels


def update():
    """Of all parameters as one vector; the gradient stays as large as it is."""
    parameters = torch.randn(843_304, requires_grad=True)
    gradient = torch.randn(843_304)
    for name, optimizer in (
        ("Adam", torch.optim.Adam([parameters], 1e-3, fused=True)),
        ("SGD", torch.optim.SGD([parameters], 1e-3, fused=True)),
    ):

        def step(optimizer=optimizer):
            parameters.grad = gradient.clone()
            torch.nn.utils.clip_grad_norm_([parameters], 1.0)
            optimizer.step()

        print(f"update of 843,304 parameters, {name}: {milliseconds(step):.3f} ms", flush=True)


def generated_layers(role, images):
    side, inputs = CASE.side, CASE.inputs
    for number in range(LAYERS):
        x = torch.rand(EPISODES, images, inputs, side, side, requires_grad=number > 0)
        kernel = torch.rand(EPISODES, CASE.channels, inputs, 3, 3, requires_grad=True)
        runs = {}
        for name, convolve in GENERATED.items():
            model = HyperTransformer(CASE, convolve)
            runs[name] = lambda m=model, x=x, k=kernel, l=number: m.layer(l, x, k)[0]
        report(f"generated layer, {role}, {number + 1}", runs)
        side, inputs = side // 2, CASE.channels


def transformers():
    for layer, tokens, width in (("convolution layer", 28, 104), ("logits layer", 40, 73)):
        for norm in ("pre", "post"):
            blocks = [Block(width, norm == "pre") for _ in range(BLOCKS)]
            model = nn.Sequential(*blocks, nn.LayerNorm(width) if norm == "pre" else nn.Identity())
            x = torch.randn(EPISODES, tokens, width)
            report(f"transformer, {layer}, {norm}", {"": lambda model=model, x=x: model(x)})


def whole_gradient():
    image = CASE.inputs, CASE.side, CASE.side
    support = torch.rand(EPISODES, CASE.support, *image)
    labels = torch.stack([torch.randperm(CASE.support) % CASE.ways for _ in range(EPISODES)])
    query = torch.rand(EPISODES, CASE.queries, *image)
    runs = {}
    for name, convolve in GENERATED.items():
        model = HyperTransformer(CASE, convolve)
        runs[name] = lambda model=model: model(support, labels, query)
    report(f"{EPISODES} episodes, 20-way 1-shot", runs)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    image_encoder()
    encoders()
    generated_layers("support", CASE.support)
    generated_layers("queries", CASE.queries)
    transformers()
    whole_gradient()
    update()
