"""Which output of a network is explained: one small function for each kind of network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = [
    "answer",
    "first_logits",
    "last_logits",
    "logits",
    "only",
    "pooled",
    "pooled_image",
    "pooled_inputs",
    "pooled_speech",
    "similarities",
    "sound_class",
    "transcript",
]


def only(network: nn.Module, *inputs: Tensor) -> Tensor:
    """The one tensor that the network returns."""
    outputs: Tensor = network(*inputs)
    return outputs


def last_logits(network: nn.Module, embeddings: Tensor) -> Tensor:
    """A decoder's next-token logits."""
    found: Tensor = network(inputs_embeds=embeddings).logits
    return found[:, -1]


def first_logits(network: nn.Module, embeddings: Tensor) -> Tensor:
    """A masked language model's logits at the first token."""
    found: Tensor = network(inputs_embeds=embeddings).logits
    return found[:, 0]


def pooled(network: nn.Module, embeddings: Tensor) -> Tensor:
    """The mean of a text encoder's last hidden states."""
    hidden: Tensor = network(inputs_embeds=embeddings).last_hidden_state
    return hidden.mean(1)


def pooled_inputs(network: nn.Module, embeddings: Tensor) -> Tensor:
    """The same of an encoder of any modality."""
    hidden: Tensor = network(inputs=embeddings).last_hidden_state
    return hidden.mean(1)


def answer(network: nn.Module, source: Tensor, target: Tensor) -> Tensor:
    """An encoder-decoder's next-token logits, from the embeddings of both sides."""
    found: Tensor = network(inputs_embeds=source, decoder_inputs_embeds=target).logits
    return found[:, -1]


def logits(network: nn.Module, images: Tensor) -> Tensor:
    """An image classifier's logits."""
    found: Tensor = network(pixel_values=images).logits
    return found


def pooled_image(network: nn.Module, images: Tensor) -> Tensor:
    """The mean of an image encoder's last hidden states."""
    hidden: Tensor = network(pixel_values=images).last_hidden_state
    return hidden.mean(1)


def similarities(network: nn.Module, images: Tensor) -> Tensor:
    """A two-tower network's similarities of images with three fixed sentences."""
    sentences = torch.tensor([[1, 5, 6, 2], [1, 7, 8, 2], [1, 9, 3, 2]])
    found: Tensor = network(input_ids=sentences, pixel_values=images).logits_per_image
    return found


def pooled_speech(network: nn.Module, waves: Tensor) -> Tensor:
    """The mean of a speech encoder's last hidden states."""
    hidden: Tensor = network(input_values=waves).last_hidden_state
    return hidden.mean(1)


def sound_class(network: nn.Module, spectrograms: Tensor) -> Tensor:
    """A sound classifier's logits."""
    found: Tensor = network(input_values=spectrograms).logits
    return found


def transcript(network: nn.Module, spectrograms: Tensor, target: Tensor) -> Tensor:
    """A speech recogniser's next-token logits, from sound and from what it said so far."""
    found: Tensor = network(input_features=spectrograms, decoder_inputs_embeds=target).logits
    return found[:, -1]
