"""One meta-training step of the same generator in JAX: a peer of docs/performance.md.

Forward, backward, Adam in one jitted function; the cases are those of cases.py. Convolutions with
a kernel per episode come in five formulations: grouped, vmap, looped, im2col and shifted (a sum
over the nine pixels of the kernel); learned ones as one convolution, im2col and shifted. XLA takes
its threads from the environment (`--xla_cpu_multi_thread_eigen=false` no longer changes them), so
one thread is

    pip install -r benches/peers/requirements.txt
    export NPROC=1
    taskset -c 0 python benches/peers/jax_peer.py
    taskset -c 0 python benches/peers/jax_peer.py --case photographs

`--check` instead gives PyTorch's parameters to both and compares the logits.
"""

import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from cases import BLOCKS, CASES, EMBEDDING, HEADS, IMAGE_FEATURES, LAYERS, chosen, options, report

NHWC = ("NHWC", "HWIO", "NHWC")


def convolution(x, kernel, stride=1, padding="SAME", groups=1):
    """x: [B, H, W, I], kernel: [F, F, I, O] -> [B, H, W, O]."""
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=NHWC, feature_group_count=groups
    )


def grouped(x, kernel):
    """x: [E, B, H, W, I], kernel: [E, 3, 3, I, O] -> [E, B, H, W, O]."""
    e, b, h, w, i = x.shape
    folded = x.transpose(1, 2, 3, 0, 4).reshape(b, h, w, e * i)
    kernel = kernel.transpose(1, 2, 3, 0, 4).reshape(3, 3, i, -1)
    out = convolution(folded, kernel, groups=e)
    return out.reshape(b, h, w, e, -1).transpose(3, 0, 1, 2, 4)


def looped(x, kernel):
    return jnp.stack([convolution(x[n], kernel[n]) for n in range(len(x))])


def shifts(x):
    """The images as the nine pixels of a kernel see them."""
    h, w = x.shape[2:4]
    x = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
    return [x[:, :, r : r + h, c : c + w] for r in range(3) for c in range(3)]


def product(x, kernel):
    """kernel: [E, I, O], or [I, O] for all episodes."""
    return jnp.einsum("ebhwi,eio->ebhwo" if kernel.ndim == 3 else "ebhwi,io->ebhwo", x, kernel)


def im2col(x, kernel):
    *e, _, _, i, o = kernel.shape
    return product(jnp.concatenate(shifts(x), 4), kernel.reshape(*e, 9 * i, o))


def shifted(x, kernel):
    *e, _, _, i, o = kernel.shape
    kernel = kernel.reshape(*e, 9, i, o)
    return sum(product(pixel, kernel[..., n, :, :]) for n, pixel in enumerate(shifts(x)))


def shared(x, kernel):
    """kernel: [3, 3, I, O], the same for all episodes."""
    out = convolution(x.reshape(-1, *x.shape[2:]), kernel)
    return out.reshape(*x.shape[:2], *out.shape[1:])


GENERATED = {
    "grouped": grouped,
    "vmap": jax.vmap(convolution),
    "looped": looped,
    "im2col": im2col,
    "shifted": shifted,
}
LEARNED = {"shared": shared, "im2col": im2col, "shifted": shifted}


def initial(case, random):
    """Parameters by the names that PyTorch gives them."""
    p = {}

    def glorot(name, *shape):
        limit = np.sqrt(6 / (np.prod(shape[:-2]) * (shape[-2] + shape[-1])))
        p[name] = random.uniform(-limit, limit, shape)

    def weight_and_bias(name, *shape):
        glorot(f"{name}.weight", *shape)
        p[f"{name}.bias"] = np.zeros(shape[-1])

    def norm(name, width):
        p[f"{name}.weight"], p[f"{name}.bias"] = np.ones(width), np.zeros(width)

    inputs = [case.inputs] + [IMAGE_FEATURES] * (LAYERS - 1)
    for n, i in enumerate(inputs):
        weight_and_bias(f"image_encoder.{n}", 3, 3, i, IMAGE_FEATURES)
    *layers, logits = case.generators()
    names = [f"layers.{l}" for l in range(len(layers))] + ["logits"]
    for name, (i, slices, length, kernels) in zip(names, [*layers, logits]):
        p[f"{name}.labels"] = random.normal(size=(case.ways + 1, EMBEDDING))
        p[f"{name}.weights"] = random.normal(size=(slices, EMBEDDING))
        if case.from_labels:
            p[f"{name}.weights"] = p[f"{name}.labels"][:slices]
        for n, kernel in enumerate(kernels):
            weight_and_bias(f"{name}.encoders.{n}", kernel, kernel, i, case.encoder_width)
            i = case.encoder_width
        width = case.width(length, kernels)
        inner = width + width % HEADS
        for block in [f"{name}.blocks.{n}" for n in range(BLOCKS)]:
            weight_and_bias(f"{block}.qkv", width, 3 * inner)
            weight_and_bias(f"{block}.out", inner, width)
            weight_and_bias(f"{block}.inner", width, inner)
            weight_and_bias(f"{block}.outer", inner, width)
            norm(f"{block}.norms.0", width)
            norm(f"{block}.norms.1", width)
        if case.pre_norm:
            norm(f"{name}.norm", width)
    inputs = [] if layers else [case.inputs] + [case.channels] * (LAYERS - 1)
    for l, i in enumerate(inputs):
        glorot(f"kernels.{l}", 3, 3, i, case.channels)
    p["scales"], p["shifts"] = np.ones((LAYERS, case.channels)), np.zeros((LAYERS, case.channels))
    return {name: jnp.asarray(value, jnp.float32) for name, value in p.items()}


def dense(p, name, x):
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def normalize(p, name, x):
    x = x - x.mean(-1, keepdims=True)
    x = x * lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-5)
    return x * p[f"{name}.weight"] + p[f"{name}.bias"]


def attend(p, name, x):
    e, t, _ = x.shape
    q, k, v = jnp.moveaxis(dense(p, f"{name}.qkv", x).reshape(e, t, 3, HEADS, -1), 2, 0)
    scores = jnp.einsum("ethd,eshd->ehts", q, k) / np.sqrt(q.shape[-1])
    mixed = jnp.einsum("ehts,eshd->ethd", jax.nn.softmax(scores), v)
    return dense(p, f"{name}.out", mixed.reshape(e, t, -1))


def feed(p, name, x):
    return dense(p, f"{name}.outer", jax.nn.relu(dense(p, f"{name}.inner", x)))


def block(p, name, x, pre_norm):
    for part, norm in [(attend, f"{name}.norms.0"), (feed, f"{name}.norms.1")]:
        if pre_norm:
            x = x + part(p, name, normalize(p, norm, x))
        else:
            x = normalize(p, norm, x + part(p, name, x))
    return x


def generate(case, p, name, sizes, activations, image_features, labels):
    """Slices of one layer."""
    _, slices, length, kernels = sizes
    e, s = activations.shape[:2]
    x, features = activations.reshape(e * s, *activations.shape[2:]), []
    for n in range(len(kernels)):
        x = jax.nn.relu(x) if n else x
        stride = 2 if n + 1 < len(kernels) else 1
        x = convolution(x, p[f"{name}.encoders.{n}.weight"], stride, "VALID")
        x = x + p[f"{name}.encoders.{n}.bias"]
        features.append(x.mean((1, 2)).reshape(e, s, -1))
    samples = jnp.concatenate([p[f"{name}.labels"][labels], *features, image_features], 2)
    weights = jnp.broadcast_to(p[f"{name}.weights"], (e, slices, EMBEDDING))
    width = case.width(length, kernels)
    widen = [jnp.pad(x, ((0, 0), (0, 0), (0, width - x.shape[2]))) for x in (weights, samples)]
    tokens = jnp.concatenate(widen, 1)
    for n in range(BLOCKS):
        tokens = block(p, f"{name}.blocks.{n}", tokens, case.pre_norm)
    tokens = normalize(p, f"{name}.norm", tokens) if case.pre_norm else tokens
    return tokens[:, :slices, EMBEDDING : EMBEDDING + length]


def max_pool(x):
    """2 x 2 pixels; an odd last row or column is dropped. Faster than reduce_window here."""
    e, b, h, w, c = x.shape
    x = x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(e, b, h // 2, 2, w // 2, 2, c)
    return x.max((3, 5))


def layer(case, convolve, p, l, x, kernel, statistics=None):
    """Also returns the statistics of its own images, unless others are given."""
    x = convolve(x, kernel)
    x = max_pool(jax.nn.leaky_relu(x, case.slope) if case.slope else jax.nn.relu(x))
    if statistics is None:
        mean = x.mean((1, 2, 3), keepdims=True)
        statistics = mean, jnp.square(x - mean).mean((1, 2, 3), keepdims=True)
    mean, variance = statistics
    return (x - mean) * lax.rsqrt(variance + 1e-3) * p["scales"][l] + p["shifts"][l], statistics


def forward(case, convolve, p, support, labels, query):
    """Images: [E, B, H, W, C]; returns logits [E, Q, N]."""
    e, s = support.shape[:2]
    x = support.reshape(e * s, *support.shape[2:])
    for n in range(LAYERS):
        stride = 2 if n + 1 < LAYERS else 1
        x = convolution(x, p[f"image_encoder.{n}.weight"], stride, [(1, 1), (1, 1)])
        x = jax.nn.relu(x + p[f"image_encoder.{n}.bias"])
    image_features = x.mean((1, 2)).reshape(e, s, -1)
    *layers, logits = case.generators()
    activations, kernels, statistics = support, [], []
    for l in range(LAYERS):
        if layers:
            seen = activations, image_features, labels
            slices = generate(case, p, f"layers.{l}", layers[l], *seen)
            kernels.append(slices.reshape(e, -1, 3, 3, layers[l][0]).transpose(0, 2, 3, 4, 1))
        else:
            kernels.append(p[f"kernels.{l}"])
        activations, own = layer(case, convolve, p, l, activations, kernels[l])
        statistics.append(own if case.support_statistics else None)
    rows = generate(case, p, "logits", logits, activations, image_features, labels)
    for l, kernel in enumerate(kernels):
        query, _ = layer(case, convolve, p, l, query, kernel, statistics[l])
    features = query.reshape(*query.shape[:2], -1)
    return jnp.einsum("eqp,enp->eqn", features, rows[:, :, :-1]) + rows[:, None, :, -1]


def check(case, name, convolve, support, labels, query):
    """Whether PyTorch gives the same logits for its parameters."""
    import pytorch
    import torch

    model = pytorch.HyperTransformer(case, pytorch.looped if case.generated else pytorch.shared)
    p = {key: jnp.asarray(value.numpy()) for key, value in model.state_dict().items()}
    for key, value in p.items():
        if value.ndim == 4:
            p[key] = value.transpose(2, 3, 1, 0)
        elif value.ndim == 2 and key.endswith(".weight"):
            p[key] = value.T
    ours = jax.jit(partial(forward, case, convolve))(p, support, labels, query)
    images = [torch.tensor(np.moveaxis(x, 4, 2)) for x in (support, query)]
    theirs = model(images[0], torch.tensor(labels), images[1]).detach().numpy()
    worst = np.abs(ours - theirs).max()
    print(f"{name}: logits up to {np.abs(theirs).max():.3f}, differences up to {worst:.1e}")


def main():
    parser = options(__doc__)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    case = CASES[arguments.case]
    e = arguments.episodes or case.episodes
    formulations = GENERATED if case.generated else LEARNED
    random = np.random.default_rng(0)
    image = case.side, case.side, case.inputs
    support = random.random((e, case.support, *image), np.float32)
    labels = np.stack([random.permutation(case.support) % case.ways for _ in range(e)])
    query = random.random((e, case.queries, *image), np.float32)
    targets = random.integers(0, case.ways, (e, case.queries))
    optimizer = optax.adam(1e-3)

    for name, convolve in chosen(arguments.formulation, formulations).items():
        if arguments.check:
            check(case, name, convolve, support, labels, query)
            continue

        def mean_loss(p, support, labels, query, targets):
            logits = forward(case, convolve, p, support, labels, query)
            return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()

        @partial(jax.jit, donate_argnums=(0, 1))
        def step(p, state, *batch):
            loss, gradients = jax.value_and_grad(mean_loss)(p, *batch)
            updates, state = optimizer.update(gradients, state)
            return optax.apply_updates(p, updates), state, loss

        p = initial(case, random)
        parameters = sum(value.size for value in p.values())
        state, times = optimizer.init(p), []
        batch = [jnp.asarray(x) for x in (support, labels, query, targets)]
        for _ in range(arguments.steps + 2):
            started = time.process_time()
            p, state, loss = jax.block_until_ready(step(p, state, *batch))
            times.append(time.process_time() - started)
        report(f"jax {jax.__version__}", name, parameters, loss, times, e)


if __name__ == "__main__":
    main()
