"""One meta-training step of the same generator in PyTorch: a peer of docs/performance.md.

Forward, backward, Adam; the cases are those of cases.py. Convolutions with a kernel per episode
come in three formulations: grouped, looped and im2col; learned ones in two memory orders.

    pip install -r benches/peers/requirements.txt
    taskset -c 0 python benches/peers/pytorch.py --threads 1 --fused
    taskset -c 0 python benches/peers/pytorch.py --threads 1 --fused --case photographs
    python benches/peers/pytorch.py --device cuda --fused --episodes 256
"""

import time

import torch
import torch.nn.functional as F
from torch import nn

from cases import BLOCKS, CASES, EMBEDDING, HEADS, IMAGE_FEATURES, LAYERS, chosen, options, report


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


def shared(x, kernel):
    """kernel: [O, I, 3, 3], the same for all episodes."""
    return F.conv2d(x.flatten(0, 1), kernel, padding=1).unflatten(0, x.shape[:2])


def channels_last(x, kernel):
    folded = x.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    return F.conv2d(folded, kernel, padding=1).unflatten(0, x.shape[:2])


GENERATED = {"grouped": grouped, "looped": looped, "im2col": im2col}
LEARNED = {"shared": shared, "channels-last": channels_last}


class Block(nn.Module):
    def __init__(self, width, pre_norm):
        super().__init__()
        inner = width + width % HEADS
        self.pre_norm = pre_norm
        self.qkv = nn.Linear(width, 3 * inner)
        self.out = nn.Linear(inner, width)
        self.inner = nn.Linear(width, inner)
        self.outer = nn.Linear(inner, width)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])

    def attend(self, x):
        e, t, _ = x.shape
        q, k, v = self.qkv(x).reshape(e, t, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return self.out(mixed.reshape(e, t, -1))

    def feed(self, x):
        return self.outer(F.relu(self.inner(x)))

    def forward(self, x):
        if self.pre_norm:
            x = x + self.attend(self.norms[0](x))
            return x + self.feed(self.norms[1](x))
        x = self.norms[0](x + self.attend(x))
        return self.norms[1](x + self.feed(x))


class LayerGenerator(nn.Module):
    def __init__(self, case, inputs, slices, length, kernels, from_labels=False):
        super().__init__()
        self.labels = nn.Parameter(torch.randn(case.ways + 1, EMBEDDING))
        start = self.labels.detach()[:slices].clone() if from_labels else None
        self.weights = nn.Parameter(torch.randn(slices, EMBEDDING) if start is None else start)
        self.length = length
        self.encoders = nn.ModuleList()
        for number, kernel in enumerate(kernels):
            stride = 2 if number + 1 < len(kernels) else 1
            self.encoders.append(nn.Conv2d(inputs, case.encoder_width, kernel, stride))
            inputs = case.encoder_width
        self.width = case.width(length, kernels)
        self.blocks = nn.Sequential(*[Block(self.width, case.pre_norm) for _ in range(BLOCKS)])
        self.norm = nn.LayerNorm(self.width) if case.pre_norm else nn.Identity()

    def features(self, activations):
        """What the activation encoder sees of [E, S, C, H, W]."""
        e, s = activations.shape[:2]
        x, features = activations.flatten(0, 1), []
        for number, encoder in enumerate(self.encoders):
            x = encoder(F.relu(x) if number else x)
            features.append(x.mean((2, 3)).reshape(e, s, -1))
        return torch.cat(features, 2)

    def forward(self, activations, image_features, labels):
        e = len(activations)
        features = self.features(activations)
        samples = torch.cat([self.labels[labels], features, image_features], 2)
        samples = F.pad(samples, (0, self.width - samples.shape[2]))
        weights = F.pad(self.weights, (0, self.width - EMBEDDING)).expand(e, -1, -1)
        tokens = self.norm(self.blocks(torch.cat([weights, samples], 1)))
        return tokens[:, : len(self.weights), EMBEDDING : EMBEDDING + self.length]


class HyperTransformer(nn.Module):
    def __init__(self, case, convolve):
        super().__init__()
        self.case, self.convolve = case, convolve
        inputs, width = [case.inputs] + [IMAGE_FEATURES] * (LAYERS - 1), IMAGE_FEATURES
        self.image_encoder = nn.ModuleList(
            [nn.Conv2d(i, width, 3, 2 if n < 3 else 1, 1) for n, i in enumerate(inputs)]
        )
        *layers, logits = case.generators()
        self.layers = nn.ModuleList([LayerGenerator(case, *sizes) for sizes in layers])
        self.logits = LayerGenerator(case, *logits, case.from_labels)
        inputs = [] if layers else [case.inputs] + [case.channels] * (LAYERS - 1)
        kernels = [torch.empty(case.channels, i, 3, 3) for i in inputs]
        self.kernels = nn.ParameterList([nn.init.xavier_uniform_(k) for k in kernels])
        self.scales = nn.Parameter(torch.ones(LAYERS, case.channels))
        self.shifts = nn.Parameter(torch.zeros(LAYERS, case.channels))

    def layer(self, l, x, kernel, statistics=None):
        """Also returns the statistics of its own images, unless others are given."""
        x = self.convolve(x, kernel)
        x = F.leaky_relu(x, self.case.slope) if self.case.slope else F.relu(x)
        e, b, o = x.shape[:3]
        x = F.max_pool2d(x.flatten(0, 1), 2)
        x = x.reshape(e, b, *x.shape[1:])
        if statistics is None:
            axes = (1, 3, 4)
            statistics = x.mean(axes, keepdim=True), x.var(axes, unbiased=False, keepdim=True)
        mean, variance = statistics
        scale, shift = (p[l].reshape(1, 1, o, 1, 1) for p in (self.scales, self.shifts))
        return (x - mean) * torch.rsqrt(variance + 1e-3) * scale + shift, statistics

    def image_features(self, support):
        e, s = support.shape[:2]
        x = support.flatten(0, 1)
        for encoder in self.image_encoder:
            x = F.relu(encoder(x))
        return x.mean((2, 3)).reshape(e, s, -1)

    def forward(self, support, labels, query):
        e = len(support)
        image_features = self.image_features(support)
        activations, kernels, statistics = support, list(self.kernels), []
        for l in range(LAYERS):
            if self.layers:
                inputs = activations.shape[2]
                slices = self.layers[l](activations, image_features, labels)
                kernels.append(slices.reshape(e, -1, 3, 3, inputs).permute(0, 1, 4, 2, 3))
            activations, own = self.layer(l, activations, kernels[l])
            statistics.append(own if self.case.support_statistics else None)
        rows = self.logits(activations, image_features, labels)
        for l, kernel in enumerate(kernels):
            query, _ = self.layer(l, query, kernel, statistics[l])
        features = query.permute(0, 1, 3, 4, 2).flatten(2)
        return features @ rows[:, :, :-1].transpose(1, 2) + rows[:, :, -1].unsqueeze(1)


def main():
    parser = options(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu: CPU time; cuda: time by the clock")
    parser.add_argument("--fused", action="store_true", help="Adam in one pass per parameter")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_default_device(arguments.device)
    is_cpu = arguments.device == "cpu"
    clock = time.process_time if is_cpu else time.perf_counter
    torch.manual_seed(0)
    case = CASES[arguments.case]
    e = arguments.episodes or case.episodes
    formulations = GENERATED if case.generated else LEARNED
    image = case.inputs, case.side, case.side
    support = torch.rand(e, case.support, *image)
    labels = torch.stack([torch.randperm(case.support) % case.ways for _ in range(e)])
    query = torch.rand(e, case.queries, *image)
    targets = torch.randint(0, case.ways, (e, case.queries))
    for name, convolve in chosen(arguments.formulation, formulations).items():
        model = HyperTransformer(case, convolve)
        optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=arguments.fused)
        times = []
        for _ in range(arguments.steps + 2):
            started = clock()
            logits = model(support, labels, query)
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if not is_cpu:
                torch.cuda.synchronize()
            times.append(clock() - started)
        parameters = sum(p.numel() for p in model.parameters())
        unit = "CPU-" if is_cpu else ""
        report(f"torch {torch.__version__}", name, parameters, loss, times, e, unit)


if __name__ == "__main__":
    main()
