import math
import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu
from .config import ModelConfig
from .memory import Memory

class WindowAttention(nn.Module):
    def __init__(self, c: ModelConfig, reads: bool):
        super().__init__()
        W, C, H = c.width, c.context_window, c.heads
        self.H, self.C = H, C
        self.query = nn.Linear(W, W)
        self.kv = nn.Linear(W, 2 * W)
        self.memory_kv = nn.Linear(W, 2 * W) if reads else None
        self.persistent = nn.Parameter(torch.randn(2, H, c.persistent, W // H) / 4)
        self.lag_bias = nn.Parameter(torch.zeros(H, C))
        self.read_bias = nn.Parameter(torch.full((H,), math.log(C)))
        self.out = nn.Linear(W, W)
        lag = C + torch.arange(C)[:, None] - torch.arange(2 * C)[None]
        self.register_buffer("lag", lag.clamp(0, C - 1), persistent=False)
        self.register_buffer("blocked", (lag < 0) | (lag >= C), persistent=False)

    def forward(self, stream, samples, read):
        B, n, C, W = stream.shape
        H = self.H
        q = self.query(stream).view(B, n, C, H, -1).transpose(2, 3) / math.sqrt(W // H)
        kv = self.kv(samples).view(B, n, C, 2, H, -1).permute(3, 0, 1, 4, 2, 5)
        before = torch.cat([torch.zeros_like(kv[:, :, :1]), kv[:, :, :-1]], 2)
        k, v = torch.cat([before, kv], 4)
        bias = self.lag_bias[:, self.lag].masked_fill(self.blocked, -math.inf)
        scores = q @ k.transpose(-1, -2) + bias
        first = torch.arange(2 * C) < C
        scores = torch.cat([scores[:, :1].masked_fill(first, -math.inf), scores[:, 1:]], 1)
        scores = [scores, q @ self.persistent[0].transpose(-1, -2)]
        if read is not None:
            mk, mv = self.memory_kv(read).view(B, n, C, 2, H, -1).permute(3, 0, 1, 4, 2, 5)
            scores.append((q * mk).sum(-1, keepdim=True) + self.read_bias[:, None, None])
        sizes = [s.shape[-1] for s in scores]
        p = torch.softmax(torch.cat(scores, -1), -1).split(sizes, -1)
        o = p[0] @ v + p[1] @ self.persistent[1]
        if read is not None:
            o = o + p[2] * mv
        return self.out(o.transpose(2, 3).reshape(B, n, C, W))

class Layer(nn.Module):
    def __init__(self, c, strategy):
        super().__init__()
        self.memory = Memory(strategy, c.width, c.memory) if strategy else None
        if self.memory is not None and not self.memory.enabled: self.memory = None
        self.attention = WindowAttention(c, self.memory is not None)
        self.norm1 = nn.LayerNorm(c.width) if c.norm else nn.Identity()
        self.norm2 = nn.LayerNorm(c.width) if c.norm else nn.Identity()
        self.ffn = nn.Sequential(nn.Linear(c.width, c.ffn), nn.SiLU(), nn.Linear(c.ffn, c.width))
        self.gate_query = nn.Linear(c.width, c.width) if self.memory else None

    def forward(self, stream, samples):
        read = None
        if self.memory is not None:
            scan = self.memory.scan(stream)
            read = self.memory.read(scan, stream)
        y = stream + self.attention(self.norm1(stream), samples, read)
        y = y + self.ffn(self.norm2(y))
        if self.memory is not None:
            gate = 2 * torch.sigmoid(self.memory.read(scan, self.gate_query(y)))
            y = stream + (y - stream) * gate
        return y

class MACTitan(nn.Module):
    def __init__(self, c: ModelConfig, inputs, strategy):
        super().__init__()
        self.c = c
        self.embed = nn.Linear(inputs, c.width)
        self.lags = nn.Linear(inputs * c.context_window, c.width)
        self.layers = nn.ModuleList([Layer(c, strategy) for _ in range(c.layers)])
        self.head = nn.Linear(c.width, 1)

    def forward(self, x):
        B, T, I = x.shape
        C = self.c.context_window
        n = -(-T // C)
        x = pad(x, (0, 0, 0, n * C - T))
        windows = pad(x, (0, 0, C - 1, 0)).unfold(1, C, 1).flatten(2)
        stream = self.lags(windows).view(B, n, C, -1)
        samples = self.embed(x).view(B, n, C, -1)
        for layer in self.layers:
            stream = layer(stream, samples)
        out = self.head(stream).view(B, n * C)[:, :T]
        if self.c.skip:
            out = out + x[:, :T, -1]
        return out
