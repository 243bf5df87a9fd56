"""A small language-model decoder in plain torch.nn: RMS norm, causal attention, SwiGLU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Decoder"]


class Attention(nn.Module):
    """Causal self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = (
            project(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        projected: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return projected


class SwiGLU(nn.Module):
    """A gated feed-forward layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, 8 * width // 3, bias=False)
        self.up = nn.Linear(width, 8 * width // 3, bias=False)
        self.down = nn.Linear(8 * width // 3, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        down: Tensor = self.down(F.silu(self.gate(tokens)) * self.up(tokens))
        return down


class Block(nn.Module):
    """Attention and feed-forward, each after a norm and around a residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm, self.attention = nn.RMSNorm(width), Attention(width, heads)
        self.gated_norm, self.gated = nn.RMSNorm(width), SwiGLU(width)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(self.attention_norm(tokens))
        mixed: Tensor = tokens + self.gated(self.gated_norm(tokens))
        return mixed


class Decoder(nn.Module):
    """Next-token logits from embeddings, (batch, tokens, width) → (batch, vocabulary)."""

    def __init__(
        self, width: int = 384, heads: int = 6, depth: int = 6, vocabulary: int = 8192
    ) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, 1024, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, embeddings: Tensor) -> Tensor:
        tokens = self.blocks(embeddings + self.positions[:, : embeddings.shape[1]])
        logits: Tensor = self.head(self.norm(tokens[:, -1]))
        return logits
