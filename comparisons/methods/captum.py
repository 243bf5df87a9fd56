"""Captum's methods, each with its parameters and what it says its attributions add up to.

The model is left as it was, and the random numbers of methods that draw them come from the
setting's seed: the same for every call, and for every example whatever stands beside it.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from captum import attr
from captum.attr._utils.lrp_rules import EpsilonRule
from torch import Tensor, nn

from captum_ilin.metrics import drawing_from
from comparisons.methods.method import Method, Setting
from comparisons.methods.offsets import value_at_baseline
from comparisons.methods.unchanged import unchanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from comparisons.methods.method import Explain

__all__ = ["METHODS"]

Arguments = dict[str, Any]

SHAP_SAMPLES, SHAP_BASELINES = 20, 8
SMOOTH_SAMPLES, SMOOTH_NOISE = 25, 0.15
ROWS = 10  # at once through the network, where a method makes many of one example


class CaptumExplainer:
    """A Captum method whose further arguments follow from the inputs.

    Args:
        build: model → Captum's attribution object.
        model: what is explained.
        arguments: inputs → further arguments of ``attribute``.
        seed: for methods that draw random numbers: these take the examples one by one.
    """

    def __init__(
        self,
        build: Callable[[Any], Any],
        model: Any,
        arguments: Callable[[Tensor], Arguments] = lambda inputs: {},
        seed: int | None = None,
    ) -> None:
        self.build, self.model, self.arguments, self.seed = build, model, arguments, seed

    @property
    def multiplies_by_inputs(self) -> bool:
        """Captum's flag."""
        with unchanged(self.model):
            return bool(self.build(self.model).multiplies_by_inputs)

    def attribute(self, inputs: Tensor, target: Any = None, **more: Any) -> Tensor:
        """Captum's attributions, (batch, \\*features)."""
        if self.seed is None or len(inputs) == 1:
            return self._attribute(inputs, target, more)
        rows = inputs.split(1)
        targets = (_target_of(target, row) for row in range(len(rows)))
        found = (self._attribute(row, t, more) for row, t in zip(rows, targets, strict=True))
        return torch.cat(list(found))

    def _attribute(self, inputs: Tensor, target: Any, more: Arguments) -> Tensor:
        leaves = inputs.detach().clone().requires_grad_()
        with unchanged(self.model), _quiet(), self._drawing():
            found: Tensor = self.build(self.model).attribute(
                leaves, target=target, **self.arguments(inputs.detach()), **more
            )
        return found.detach()

    def _drawing(self) -> AbstractContextManager[None]:
        return nullcontext() if self.seed is None else drawing_from(self.seed)


def _target_of(target: Any, row: int) -> Any:
    """The target of one example, from any of Captum's forms."""
    by_example = isinstance(target, list) or (isinstance(target, Tensor) and target.numel() > 1)
    return target[row : row + 1] if by_example else target


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the notes that hooks are set and will be removed: `unchanged` sees to it."""
    with warnings.catch_warnings():
        for note in ("Setting forward, backward hooks", "Setting backward hooks"):
            warnings.filterwarnings("ignore", message=f"\\s*{note}")
        yield


def _plain(build: Callable[[Any], Any]) -> Callable[[Setting], Explain]:
    """A method that needs nothing but the model."""
    return lambda setting: partial(CaptumExplainer, build)


def _integrated_gradients(n_steps: int) -> Method:
    def make(setting: Setting) -> Explain:
        def arguments(inputs: Tensor) -> Arguments:
            rows = max(ROWS, len(inputs))
            return {
                "baselines": setting.baseline.to(inputs),
                "n_steps": n_steps,
                "internal_batch_size": rows,
            }

        return partial(CaptumExplainer, attr.IntegratedGradients, arguments=arguments)

    return Method(
        f"IG-{n_steps}",
        make,
        is_contribution=True,
        about=f"Integrated Gradients in {n_steps} steps (Sundararajan 2017)",
        offset=value_at_baseline,
        parameters={"n_steps": n_steps, "rule": "gausslegendre"},
        passes=n_steps,
        uses_baseline=True,
    )


def _deep_lift(setting: Setting) -> Explain:
    def arguments(inputs: Tensor) -> Arguments:
        return {"baselines": setting.baseline.to(inputs)}

    return partial(CaptumExplainer, attr.DeepLift, arguments=arguments)


def _gradient_shap(setting: Setting) -> Explain:
    def arguments(inputs: Tensor) -> Arguments:
        baselines = _noise_and_baseline(inputs, setting)
        return {"baselines": baselines, "n_samples": SHAP_SAMPLES}

    return partial(CaptumExplainer, attr.GradientShap, arguments=arguments, seed=setting.seed)


def _noise_and_baseline(inputs: Tensor, setting: Setting) -> Tensor:
    """The setting's baseline, and noise that is uniform over the input's own range."""
    generator = torch.Generator().manual_seed(setting.seed)
    noise = torch.rand(SHAP_BASELINES - 1, *inputs.shape[1:], generator=generator).to(inputs)
    noise = inputs.min() + noise * (inputs.max() - inputs.min())
    return torch.cat([setting.baseline.to(inputs), noise])


def _lrp(model: Any) -> Any:
    """Captum has no rule for layers that only reshape, and asks to be given one."""
    for module in model.modules():
        if isinstance(module, nn.Flatten | nn.Unflatten | nn.Identity):
            module.rule = EpsilonRule()  # type: ignore[assignment]
    return attr.LRP(model)


def _smooth_grad(setting: Setting) -> Explain:
    def arguments(inputs: Tensor) -> Arguments:
        return {
            "nt_type": "smoothgrad",
            "nt_samples": SMOOTH_SAMPLES,
            "nt_samples_batch_size": ROWS,
            "stdevs": SMOOTH_NOISE * float(inputs.max() - inputs.min()),
            "abs": False,
        }

    def build(model: Any) -> Any:
        return attr.NoiseTunnel(attr.Saliency(model))

    return partial(CaptumExplainer, build, arguments=arguments, seed=setting.seed)


def _gradient(setting: Setting) -> Explain:
    return partial(CaptumExplainer, attr.Saliency, arguments=lambda inputs: {"abs": False})


def _occlusion(setting: Setting) -> Explain:
    def arguments(inputs: Tensor) -> Arguments:
        shared = {"baselines": setting.baseline.to(inputs), "perturbations_per_eval": ROWS}
        if setting.window is None:
            mask = setting.feature_mask
            return shared | {"feature_mask": None if mask is None else mask.to(inputs.device)}
        return shared | {"sliding_window_shapes": setting.window, "strides": setting.window}

    build = attr.FeatureAblation if setting.window is None else attr.Occlusion
    return partial(CaptumExplainer, build, arguments=arguments)


@torch.no_grad()
def _mean_over_baselines(
    model: nn.Module, inputs: Tensor, target: Any, setting: Setting
) -> Tensor:
    """The mean of F over the baselines that each example's draws are from."""
    rows = inputs.split(1)
    return torch.stack(
        [model(_noise_and_baseline(row, setting))[:, target].mean() for row in rows]
    )


def _nothing(model: nn.Module, inputs: Tensor, target: Any, setting: Setting) -> Tensor:
    return inputs.new_zeros(len(inputs))


METHODS = (
    Method(
        "InputXGradient",
        _plain(attr.InputXGradient),
        is_contribution=True,
        about="x ∘ ∂F/∂x (Shrikumar 2016)",
        offset=_nothing,
    ),
    *map(_integrated_gradients, (10, 50, 200)),
    Method(
        "DeepLIFT",
        _deep_lift,
        is_contribution=True,
        about="DeepLIFT's rescale rule (Shrikumar 2017); Captum takes the gradient at "
        "activations that it does not know, such as ReLU6, F.gelu and attention",
        offset=value_at_baseline,
        passes=2,
        uses_baseline=True,
    ),
    Method(
        "Saliency",
        _plain(attr.Saliency),
        is_contribution=False,
        about="|∂F/∂x| (Simonyan 2013)",
        parameters={"abs": True},
    ),
    Method(
        "Gradient",
        _gradient,
        is_contribution=False,
        about="∂F/∂x with its sign (Baehrens 2010)",
        parameters={"abs": False},
    ),
    Method(
        "GradientSHAP",
        _gradient_shap,
        is_contribution=True,
        about="expected gradients over the baseline and noise (Lundberg 2017); its sum is "
        "that of the mean over baselines in expectation only",
        offset=_mean_over_baselines,
        parameters={"n_samples": SHAP_SAMPLES, "baselines": SHAP_BASELINES},
        passes=SHAP_SAMPLES,
        uses_baseline=True,
    ),
    Method(
        "LRP",
        _plain(_lrp),
        is_contribution=True,
        about="layer-wise relevance propagation, the ε rule throughout (Bach 2015)",
        offset=_nothing,
        parameters={"rule": "epsilon 1e-9"},
        passes=2,
    ),
    Method(
        "SmoothGrad",
        _smooth_grad,
        is_contribution=False,
        about="the mean of ∂F/∂x over inputs with noise (Smilkov 2017)",
        parameters={"n_samples": SMOOTH_SAMPLES, "noise_by_range": SMOOTH_NOISE},
        passes=SMOOTH_SAMPLES,
    ),
    Method(
        "GuidedBackprop",
        _plain(attr.GuidedBackprop),
        is_contribution=False,
        about="∂F/∂x with negative gradients cut at every nn.ReLU (Springenberg 2014); "
        "the gradient where there is none",
    ),
    Method(
        "Deconvolution",
        _plain(attr.Deconvolution),
        is_contribution=False,
        about="gradients rectified at every nn.ReLU in place of its own slope (Zeiler 2014); "
        "the gradient where there is none",
    ),
    Method(
        "Occlusion",
        _occlusion,
        is_contribution=True,
        about="F(x) − F(x with a window, or a group of features, at the baseline), given to "
        "each value of it (Zeiler 2014); windows tile the input, overlapping at its end only",
        parameters={"strides": "the window"},
        passes=64,
        uses_baseline=True,
    ),
)
