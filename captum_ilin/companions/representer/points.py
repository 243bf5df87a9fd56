"""``RepresenterPoints``: a prediction as the sum of votes of the training examples.

A model that ends in a linear layer is Φ(x) = Θ f(x). With Θ fitted to stationarity under an l2
penalty, Θ* = argmin λ‖Θ‖² + (1/n) Σ L(t_i, Θ f_i),

    Φ(x_t) = Σ_i α_i f_iᵀ f_t,    α_i = −(1/(2λn)) ∂L/∂Φ(x_i) = (t_i − p_i) / (2λn)

(Yeh, Kim, Yen, Ravikumar 2018, "Representer Point Selection for Explaining Deep Neural
Networks", NeurIPS, arXiv 1811.09720, theorem 3.1): every training example votes on every class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import torch
from captum.influence import DataInfluence
from torch import Tensor, nn

from captum_ilin.companions.batches import as_inputs, loader_of
from captum_ilin.companions.errors import CompanionInputError
from captum_ilin.companions.representer.arguments import (
    check_count,
    check_known,
    check_options,
    examples_for,
    targets_for,
)
from captum_ilin.companions.representer.refit import Refit, refit
from captum_ilin.companions.representer.report import (
    RefitReport,
    logit_correlation,
    top_agreement,
)
from captum_ilin.companions.representer.shares import VoteShares, shares_of
from captum_ilin.companions.representer.suspicion import (
    Suspects,
    check_reading,
    self_votes,
    suspicion,
)
from captum_ilin.companions.representer.trainingset import read_training_set
from captum_ilin.companions.representer.voting import (
    identity_residual,
    refit_logits,
    strongest,
    votes,
)

if TYPE_CHECKING:
    from captum.influence._utils.common import KMostInfluentialResults
    from torch.utils.data import DataLoader, Dataset

    from captum_ilin.companions.head import Head
    from captum_ilin.ruletable import RuleTable

__all__ = ["RepresenterPoints"]

MEASURED = 128  # training examples at which the identity is measured


class RepresenterPoints(DataInfluence):
    """The votes of a model's training examples on its predictions.

    The model keeps its features; its last linear layer is fitted anew, by L-BFGS in float64,
    to what the model itself says of the training examples (or to their labels). ``report``
    tells how like the network the refit is, for a vote is a part of the *refit's* logit.

    Args:
        model: a module whose output, (batch, classes), comes from an ``nn.Linear``; in
            evaluation mode. It is not changed.
        train_dataset: a dataset or a loader that does not shuffle. As in Captum's own
            classes, a batch is a tuple with the labels last, and the model is called as
            ``model(*batch[:-1])``; a tensor, or a tuple of one, has no labels.
        penalty: λ > 0, of λ‖Θ‖². PyTorch's ``weight_decay`` is 2λ. Default: 1e-2.
        head (optional): the linear layer or its path. Default: None, the last ``nn.Linear``
            that is called; that the outputs are what it makes of its input is checked.
        targets (optional): what the head is fitted to: "model" (default), the model's own
            softmax, as the paper does for a trained model; or "labels".
        batch_size (optional): of the loader that is made of a dataset. Default: 256.
        tolerance (optional): the stationarity to reach, ‖gradient‖ / (2λ‖Θ‖). Default: 1e-9.
        max_evaluations (optional): passes over the features at most. Default: 5000.
        show_progress (optional): bars for the features and the refit. Default: False.

    Raises:
        CompanionInputError: no linear head, λ ≤ 0, a loader that is empty or shuffles, labels
            that are missing where they are needed, features that are not finite, a model in
            training mode.
        NotConvergedError: the refit did not become stationary; nothing is returned then.

    Cost: one pass of the model over the training set; then two products of the features with
    the head for each pass of L-BFGS (a hundred to a thousand, more for a small λ). Memory:
    the features in the model's own precision on the CPU, 0.8 GB for 50,000 × 4096 in float32,
    and the head some 60 times in float64 (30 steps that L-BFGS keeps); (n, classes) a few
    times.

    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> from captum_ilin.companions.representer import RepresenterPoints
    >>> nn = torch.nn
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    >>> x, y = torch.randn(60, 4).double(), torch.randint(3, (60,))
    >>> points = RepresenterPoints(model, TensorDataset(x, y), penalty=0.01)
    >>> points
    RepresenterPoints(head '2', 60 examples, 9 features, 3 classes, λ = 0.01)
    >>> test = torch.randn(2, 4).double()
    >>> votes = points.influence(test, target=1)
    >>> votes.shape  # (batch, training examples)
    torch.Size([2, 60])
    >>> torch.allclose(votes.sum(1), points.logits(test)[:, 1], rtol=1e-6)
    True
    >>> points.influence(test, k=3, target=1).indices.shape  # the most excitatory
    torch.Size([2, 3])
    """

    def __init__(
        self,
        model: nn.Module,
        train_dataset: Dataset[Any] | DataLoader[Any],
        *,
        penalty: float = 1e-2,
        head: nn.Module | str | None = None,
        targets: str = "model",
        batch_size: int = 256,
        tolerance: float = 1e-9,
        max_evaluations: int = 5000,
        show_progress: bool = False,
    ) -> None:
        check_options(model, penalty, targets, tolerance)
        self.model = model
        self.train_dataloader = loader_of(train_dataset, batch_size)
        self.train_dataset = self.train_dataloader.dataset
        found = read_training_set(
            model, self.train_dataloader, head, show_progress=show_progress
        )
        self.head: Head = found[0]
        self.training_set = found[1]
        self.targets = targets
        self.penalty = float(penalty)
        self.refit: Refit = refit(
            self.training_set,
            self._fitted_to(),
            penalty=self.penalty,
            tolerance=tolerance,
            max_evaluations=max_evaluations,
            show_progress=show_progress,
        )
        self.report: RefitReport = self._report()

    def __repr__(self) -> str:
        found = self.report
        return (
            f"RepresenterPoints(head {self.head.path!r}, {found.examples} examples, "
            f"{found.features} features, {found.classes} classes, λ = {self.penalty:g})"
        )

    @property
    def coefficients(self) -> Tensor:
        """α, (n, classes), float64: how much each training example pulls at each class."""
        return self.refit.coefficients

    @property
    def labels(self) -> Tensor:
        """The training labels, (n,).

        Raises:
            CompanionInputError: the loader gives none.
        """
        return self.training_set.labels_below(self.head.classes)

    def logits(self, inputs: Any) -> Tensor:
        """Θ f(x): the refit head's own logits, (batch, classes), float64.

        The votes add up to them, not to the network's.
        """
        return self.training_set.scores(self._read(inputs)[0], self.refit.weight)

    @overload
    def influence(
        self,
        inputs: Any = None,
        k: None = None,
        proponents: bool = True,
        *,
        target: int | Tensor | list[int] | None = None,
        show_progress: bool = False,
        **unknown: Any,
    ) -> Tensor: ...

    @overload
    def influence(
        self,
        inputs: Any,
        k: int,
        proponents: bool = True,
        *,
        target: int | Tensor | list[int] | None = None,
        show_progress: bool = False,
        **unknown: Any,
    ) -> KMostInfluentialResults: ...

    def influence(
        self,
        inputs: Any = None,
        k: int | None = None,
        proponents: bool = True,
        *,
        target: int | Tensor | list[int] | None = None,
        show_progress: bool = False,
        **unknown: Any,
    ) -> Tensor | KMostInfluentialResults:
        """The votes of the training examples on a class, α_ic f_iᵀ f_t.

        Positive votes are excitatory, negative ones inhibitory; over all examples they add up
        to ``logits(inputs)`` of that class.

        Args:
            inputs: a batch, as the model takes it: a tensor or a tuple of its arguments. No
                labels.
            k (optional): give the k most excitatory (or inhibitory) only. Default: None, all.
            proponents: the largest votes for True, the lowest for False.
            target (optional): the class, an int or one for each row. Default: None, the class
                that the *model* predicts.
            show_progress: a bar over blocks of training examples. Default: False.

        Returns:
            (batch, n) in float64; with k a ``KMostInfluentialResults`` of ``indices`` and
            ``influence_scores``, (batch, k) each, the strongest first.

        Raises:
            CompanionInputError: k or the target is out of range.

        Cost: a forward pass of the batch, and a product of its features with all training
        features; with k the memory is one block's.
        """
        check_known(unknown)
        features, targets = self._asked(inputs, target)
        examples = self.training_set
        blocks = votes(
            examples, self.coefficients, features, targets, show_progress=show_progress
        )
        if k is None:
            return torch.cat(list(blocks), 1)
        check_count(k, len(examples))
        return strongest(blocks, k, proponents=proponents)

    def self_influence(self) -> Tensor:
        """α_ic f_iᵀ f_i, (n, classes): what each training example says of itself."""
        return self_votes(self.training_set, self.refit)

    def identity_residual(self, inputs: Any) -> float:
        """The largest |Θ f_t − Σ_i α_i f_iᵀ f_t| over a batch, relative to the largest |Θ f_t|.

        Θ takes no part in the sum: it is over products of features.
        """
        return identity_residual(self.training_set, self.refit, self._read(inputs)[0])

    def mislabelled(self, k: int | None = None, *, by: str = "coefficient") -> Suspects:
        """Training examples whose labels look wrong, the most suspicious first.

        Args:
            k (optional): how many. Default: None, all, ranked.
            by (optional): "coefficient", "self_vote" or "others": see
                ``captum_ilin.companions.representer.suspicion``.

        Raises:
            CompanionInputError: the head was not fitted to the labels, or k is out of range.

        Cost: two passes over the features.

        >>> import torch
        >>> from torch.utils.data import TensorDataset
        >>> from captum_ilin.companions.representer import RepresenterPoints
        >>> x = torch.cat([torch.randn(30, 2) + 3, torch.randn(30, 2) - 3])
        >>> y = torch.tensor([0] * 30 + [1] * 30)
        >>> y[7] = 1  # a wrong label
        >>> model = torch.nn.Linear(2, 2)
        >>> points = RepresenterPoints(model, TensorDataset(x, y), targets="labels")
        >>> points.mislabelled(k=1).indices
        tensor([7])
        """
        check_reading(by)
        if self.targets != "labels":
            raise CompanionInputError(
                "The head was fitted to the model's own softmax, and its coefficients say "
                "nothing of the labels. To rank these, make RepresenterPoints(..., "
                "targets='labels')."
            )
        scores = suspicion(self.training_set, self.refit, self.labels, by)
        if k is None:
            k = len(scores)
        check_count(k, len(scores))
        values, indices = scores.sort(descending=True, stable=True)
        return Suspects(indices[:k], values[:k])

    def shares(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        examples: Tensor | list[int],
        *,
        target: int | Tensor | list[int] | None = None,
        rules: RuleTable | None = None,
    ) -> VoteShares:
        """Votes of some training examples, split over the features of the test inputs.

        f_t = W_f x_t + b_f exactly, so a vote is α_ic f_iᵀ W_f x_t + α_ic f_iᵀ b_f.

        Args:
            inputs: floating-point, (batch, \\*features), or a tuple; as `linearize` takes them.
            examples: numbers of training examples, (k,), or (batch, k), such as the indices
                that ``influence`` gives.
            target (optional): as in ``influence``.
            rules (optional): as in `linearize`.

        Returns:
            VoteShares, whose parts add up to the votes: in float64 to rounding; a float32
            model's to about 1e-6.

        Raises:
            CompanionInputError: an example or target is out of range.
            IlinError: see `linearize`.

        Cost: k backward passes of the batch, below the head.

        >>> import torch
        >>> from torch.utils.data import TensorDataset
        >>> from captum_ilin.companions.representer import RepresenterPoints
        >>> nn = torch.nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()
        >>> points = RepresenterPoints(model, TensorDataset(torch.randn(60, 4).double()))
        >>> test = torch.randn(2, 4).double()
        >>> shares = points.shares(test, points.influence(test, k=3).indices)
        >>> shares.features.shape, shares.bias.shape
        (torch.Size([2, 3, 4]), torch.Size([2, 3]))
        >>> torch.allclose(shares.features.sum(2) + shares.bias, shares.votes)
        True
        """
        features, targets = self._asked(inputs, target)
        chosen = examples_for(examples, len(features), len(self.training_set))
        voters = self.training_set.features(chosen.flatten()).unflatten(0, chosen.shape)
        alpha = self.coefficients[chosen, targets[:, None]]  # (batch, k)
        constants = alpha * float(self.head.has_bias)
        found = alpha * torch.einsum("bkd,bd->bk", voters, features) + constants
        moved = as_inputs(inputs, self.head, self.model)
        parts, bias = shares_of(
            self.head,
            moved if isinstance(inputs, tuple) else moved[0],
            alpha[:, :, None] * voters,
            constants,
            rules,
        )
        return VoteShares(chosen, targets, found, parts, bias)

    def _fitted_to(self) -> Tensor:
        if self.targets == "labels":
            return nn.functional.one_hot(self.labels, self.head.classes).double()
        return self.training_set.logits.double().softmax(1)

    def _report(self) -> RefitReport:
        examples, found = self.training_set, self.refit
        logits = refit_logits(examples, found)
        some = torch.linspace(0, len(examples) - 1, min(MEASURED, len(examples))).long()
        return RefitReport(
            penalty=self.penalty,
            targets=self.targets,
            examples=len(examples),
            features=examples.width,
            classes=self.head.classes,
            evaluations=found.evaluations,
            stationarity=found.stationarity,
            identity_residual=identity_residual(examples, found, examples.features(some)),
            correlation=logit_correlation(logits, examples.logits),
            agreement=top_agreement(logits, examples.logits),
        )

    def _read(self, inputs: Any) -> tuple[Tensor, Tensor]:
        """f_t in float64 on the CPU, and the model's own outputs."""
        read = self.head.read(as_inputs(inputs, self.head, self.model))
        return read.features.double().cpu(), read.outputs.cpu()

    def _asked(self, inputs: Any, target: Any) -> tuple[Tensor, Tensor]:
        """f_t, and the class that is voted on."""
        if inputs is None:
            raise CompanionInputError(
                "inputs are missing: pass a batch of test inputs, without labels, on which the "
                "training examples vote."
            )
        features, outputs = self._read(inputs)
        return features, targets_for(target, outputs)
