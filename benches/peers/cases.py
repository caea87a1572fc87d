"""The training steps that the peers of docs/performance.md measure, and how they report them.

Both peers take their sizes from here, so that they cannot drift apart. This file runs nothing
itself; pytorch.py and jax_peer.py say how they are run. Both are faster where glibc keeps the
pages that a step frees, PyTorch by about a third for photographs:

    export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000

- omniglot: 20-way 1-shot, 28 x 28, all layers of an 8-channel CNN generated, post-norm.
- photographs: as configs/folder-5way-5shot.toml with 64 channels: 84 x 84 x 3, 5-way 5-shot,
  learned convolutions, only the logits layer generated, pre-norm.
"""

from argparse import ArgumentParser
from dataclasses import dataclass

LAYERS, BLOCKS, HEADS, EMBEDDING, IMAGE_FEATURES = 4, 3, 2, 32, 32


@dataclass(frozen=True)
class Case:
    episodes: int  # a step
    ways: int
    shots: int
    queries: int  # of all classes
    side: int
    inputs: int  # channels of an image
    channels: int  # of the CNN
    generated: bool  # the convolutions; otherwise learned, the same for all episodes
    encoder_width: int  # of the activation encoders
    encoder_kernels: tuple  # theirs, for each generated layer
    slope: float  # of the CNN's ReLU for negative inputs
    support_statistics: bool  # batch normalisation of queries by the support images
    pre_norm: bool  # with one more layer norm at the end
    from_labels: bool  # where the weight tokens of the logits layer start

    @property
    def support(self):
        return self.ways * self.shots

    @property
    def features(self):
        return self.channels * (self.side >> LAYERS) ** 2

    def generators(self):
        """Input channels, slices, slice length and encoder kernels of each; the logits' last."""
        inputs = [self.inputs] + [self.channels] * (LAYERS - 1) if self.generated else []
        layers = [(i, self.channels, 9 * i) for i in inputs]
        layers.append((self.channels, self.ways, self.features + 1))
        return [(*sizes, kernels) for sizes, kernels in zip(layers, self.encoder_kernels)]

    def width(self, length, kernels):
        """Token width."""
        return EMBEDDING + max(len(kernels) * self.encoder_width + IMAGE_FEATURES, length)


CASES = {
    "omniglot": Case(
        episodes=16,
        ways=20,
        shots=1,
        queries=60,
        side=28,
        inputs=1,
        channels=8,
        generated=True,
        encoder_width=8,
        encoder_kernels=((3, 3), (3, 3), (3, 3), (3,), (1,)),
        slope=0.0,
        support_statistics=False,
        pre_norm=False,
        from_labels=False,
    ),
    "photographs": Case(
        episodes=4,
        ways=5,
        shots=5,
        queries=25,
        side=84,
        inputs=3,
        channels=64,
        generated=False,
        encoder_width=8,
        encoder_kernels=((3,),),
        slope=0.01,
        support_statistics=True,
        pre_norm=True,
        from_labels=True,
    ),
}


def options(description):
    """The options of both scripts."""
    parser = ArgumentParser(description=description)
    parser.add_argument("--case", choices=CASES, default="omniglot")
    parser.add_argument("--formulation", default="all")
    parser.add_argument("--episodes", type=int, help="a step")
    parser.add_argument("--steps", type=int, default=10, help="behind two that do not count")
    return parser


def chosen(name, formulations):
    """The one of that name, or all."""
    if name == "all":
        return formulations
    if name not in formulations:
        raise SystemExit(f"--formulation: all, {', '.join(formulations)}")
    return {name: formulations[name]}


def report(framework, name, parameters, loss, times, episodes, unit="CPU-"):
    """One line; the first two steps warm up. `unit` says which time it is, before "ms"."""
    median = sorted(times[2:])[len(times[2:]) // 2]
    print(
        f"{framework} {name}: {parameters} parameters, loss {loss:.3f}, "
        f"{median / episodes * 1e3:.2f} {unit}ms an episode, "
        f"{episodes / median:.1f} episodes per {unit}second",
        flush=True,
    )
