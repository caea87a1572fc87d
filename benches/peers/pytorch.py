"""One meta-training step of the same generator in PyTorch: the peer of docs/performance.md.

20-way 1-shot, 20 support and 60 query images of 28 x 28, all layers of an 8-channel CNN
generated, 843,304 parameters, 16 episodes a step: forward, backward, Adam. The convolutions with
a kernel per episode come in three formulations: grouped, looped and im2col.

    pip install -r benches/peers/requirements.txt
    python benches/peers/pytorch.py --threads 1
"""

import argparse
import time

import torch
import torch.nn.functional as F
from torch import nn

WAYS, QUERIES, CHANNELS, EMBEDDING, HEADS, BLOCKS = 20, 60, 8, 32, 2, 3


def grouped(x, kernel):
    """x: [E, B, I, H, W], kernel: [E, O, I, 3, 3] -> [E, B, O, H, W]."""
    e, b, i, h, w = x.shape
    o = kernel.shape[1]
    folded = x.transpose(0, 1).reshape(b, e * i, h, w)
    out = F.conv2d(folded, kernel.reshape(e * o, i, 3, 3), padding=1, groups=e)
    return out.reshape(b, e, o, h, w).transpose(0, 1)


def looped(x, kernel):
    return torch.stack([F.conv2d(x[n], kernel[n], padding=1) for n in range(len(x))])


def im2col(x, kernel):
    e, b, i, h, w = x.shape
    o = kernel.shape[1]
    columns = F.unfold(x.reshape(e * b, i, h, w), 3, padding=1)
    columns = columns.reshape(e, b, i * 9, h * w).permute(0, 2, 1, 3).reshape(e, i * 9, -1)
    out = torch.bmm(kernel.reshape(e, o, i * 9), columns)
    return out.reshape(e, o, b, h, w).transpose(1, 2)


FORMULATIONS = {"grouped": grouped, "looped": looped, "im2col": im2col}


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])

    def forward(self, x):
        e, t, d = x.shape
        q, k, v = self.qkv(x).reshape(e, t, 3, HEADS, d // HEADS).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(e, t, d)
        x = self.norms[0](x + self.out(mixed))
        return self.norms[1](x + self.outer(F.relu(self.inner(x))))


class LayerGenerator(nn.Module):
    def __init__(self, inputs, slices, length, encoders, image_features):
        super().__init__()
        self.labels = nn.Parameter(torch.randn(WAYS + 1, EMBEDDING))
        self.weights = nn.Parameter(torch.randn(slices, EMBEDDING))
        self.length = length
        self.encoders = nn.ModuleList()
        features = image_features
        for number, kernel in enumerate(encoders):
            stride = 2 if number + 1 < len(encoders) else 1
            self.encoders.append(nn.Conv2d(inputs, CHANNELS, kernel, stride))
            inputs, features = CHANNELS, features + CHANNELS
        self.width = EMBEDDING + max(features, length)
        self.blocks = nn.Sequential(*[Block(self.width) for _ in range(BLOCKS)])

    def forward(self, activations, image_features, labels):
        e, s = activations.shape[:2]
        x, features = activations.flatten(0, 1), []
        for number, encoder in enumerate(self.encoders):
            x = encoder(F.relu(x) if number else x)
            features.append(x.mean((2, 3)).reshape(e, s, -1))
        samples = torch.cat([self.labels[labels], *features, image_features], 2)
        samples = F.pad(samples, (0, self.width - samples.shape[2]))
        weights = F.pad(self.weights, (0, self.width - EMBEDDING)).expand(e, -1, -1)
        tokens = self.blocks(torch.cat([weights, samples], 1))
        return tokens[:, : len(self.weights), EMBEDDING : EMBEDDING + self.length]


class HyperTransformer(nn.Module):
    def __init__(self, convolve):
        super().__init__()
        self.convolve = convolve
        self.image_encoder = nn.ModuleList(
            [nn.Conv2d(1 if n == 0 else 32, 32, 3, 2 if n < 3 else 1, 1) for n in range(4)]
        )
        inputs = [1, CHANNELS, CHANNELS, CHANNELS]
        kernels = [[3, 3], [3, 3], [3, 3], [3]]
        self.layers = nn.ModuleList(
            [LayerGenerator(i, CHANNELS, 9 * i, k, 32) for i, k in zip(inputs, kernels)]
        )
        self.logits = LayerGenerator(CHANNELS, WAYS, CHANNELS + 1, [1], 32)
        self.scales = nn.Parameter(torch.ones(4, CHANNELS))
        self.shifts = nn.Parameter(torch.zeros(4, CHANNELS))

    def layer(self, l, x, kernel):
        x = F.relu(self.convolve(x, kernel))
        e, b, o = x.shape[:3]
        x = F.max_pool2d(x.flatten(0, 1), 2)
        x = x.reshape(e, b, *x.shape[1:])
        mean = x.mean((1, 3, 4), keepdim=True)
        variance = x.var((1, 3, 4), unbiased=False, keepdim=True)
        scale, shift = (p[l].reshape(1, 1, o, 1, 1) for p in (self.scales, self.shifts))
        return (x - mean) * torch.rsqrt(variance + 1e-3) * scale + shift

    def forward(self, support, labels, query):
        e, s = support.shape[:2]
        x = support.flatten(0, 1)
        for encoder in self.image_encoder:
            x = F.relu(encoder(x))
        image_features = x.mean((2, 3)).reshape(e, s, -1)
        activations, kernels = support, []
        for l, generator in enumerate(self.layers):
            inputs = activations.shape[2]
            slices = generator(activations, image_features, labels)
            kernels.append(slices.reshape(e, CHANNELS, 3, 3, inputs).permute(0, 1, 4, 2, 3))
            activations = self.layer(l, activations, kernels[l])
        rows = self.logits(activations, image_features, labels)
        for l, kernel in enumerate(kernels):
            query = self.layer(l, query, kernel)
        return query.flatten(2) @ rows[:, :, :-1].transpose(1, 2) + rows[:, :, -1].unsqueeze(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--formulation", choices=[*FORMULATIONS, "all"], default="all")
    parser.add_argument("--episodes", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    e = arguments.episodes
    support = torch.rand(e, WAYS, 1, 28, 28)
    labels = torch.stack([torch.randperm(WAYS) for _ in range(e)])
    query = torch.rand(e, QUERIES, 1, 28, 28)
    targets = torch.randint(0, WAYS, (e, QUERIES))
    names = list(FORMULATIONS) if arguments.formulation == "all" else [arguments.formulation]
    for name in names:
        model = HyperTransformer(FORMULATIONS[name])
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        times = []
        for _ in range(arguments.steps + 2):
            started = time.process_time()
            logits = model(support, labels, query)
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            times.append(time.process_time() - started)
        median = sorted(times[2:])[len(times[2:]) // 2]
        parameters = sum(p.numel() for p in model.parameters())
        print(
            f"torch {torch.__version__} {name}: {parameters} parameters, loss {loss:.3f}, "
            f"{median / e * 1e3:.2f} CPU-ms an episode, {e / median:.1f} episodes per CPU-second",
            flush=True,
        )


if __name__ == "__main__":
    main()
