"""Pictures are returned and saved; matplotlib is asked for late, its settings do not count."""

from __future__ import annotations

import ast
import pkgutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import torch
from matplotlib.figure import Figure

from captum_ilin import linearize, pictures
from captum_ilin.pictures import PictureFileError, PicturePackageError
from tests.pictures.conftest import settings

VALUES = torch.tensor([[1.0, -1.0], [0.0, 0.5]])


def svd() -> Any:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    return linearize(model, torch.ones(1, 1, 2, 2)).operator().svd(1)


DRAWN = {
    "attribution_maps": lambda **options: pictures.attribution_maps(VALUES, **options),
    "templates": lambda **options: pictures.templates(VALUES[None], **options),
    "waterfall": lambda **options: pictures.waterfall({"a": 1.0}, **options),
    "bias_waterfall": lambda **options: pictures.bias_waterfall(
        linearize(torch.nn.Linear(3, 1), torch.ones(1, 3)), **options
    ),
    "category_grids": lambda **options: pictures.category_grids(
        {"h": VALUES}, rows="AB", columns="CD", **options
    ),
    "bias_maps": lambda **options: pictures.bias_maps({"a": VALUES}, **options),
    "metric_shifts": lambda **options: pictures.metric_shifts(
        {"a": VALUES[0]}, {"a": VALUES[0]}, **options
    ),
    "singular_directions": lambda **options: pictures.singular_directions(svd(), **options),
    "token_text": lambda **options: pictures.token_text(["a"], torch.ones(1), **options),
    "vote_maps": lambda **options: pictures.vote_maps(
        VALUES.abs(), VALUES.abs()[None], VALUES[None], torch.ones(1), **options
    ),
    "validity_curve": lambda **options: pictures.validity_curve(
        [1.0], torch.ones(1), **options
    ),
}
EACH = pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
HEADS = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


def test_every_function_that_draws_is_tried() -> None:
    drawing = {
        name
        for name in pictures.__all__
        if getattr(getattr(pictures, name), "__annotations__", {}).get("return") == "Figure"
    }
    assert drawing == set(DRAWN)


@EACH
def test_a_figure_is_returned_and_a_file_written(draw: Any, tmp_path: Path) -> None:
    figure = draw(save=tmp_path / "found.png", title="What it $is$")
    assert type(figure) is Figure
    assert (tmp_path / "found.png").read_bytes().startswith(HEADS["png"])
    titles = [figure.get_suptitle(), *(text.get_text() for text in figure.axes[0].texts)]
    assert "What it $is$" in titles


@pytest.mark.parametrize("kind", HEADS)
def test_the_ending_gives_the_format_and_the_same_bytes(kind: str, tmp_path: Path) -> None:
    one, other = tmp_path / f"one.{kind}", tmp_path / f"other.{kind.upper()}"
    for path in (one, other):
        pictures.waterfall({"a": 1.0, "b": -0.5}, save=str(path))
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes().startswith(HEADS[kind])


@EACH
def test_a_folder_that_does_not_exist_is_refused(draw: Any, tmp_path: Path) -> None:
    with pytest.raises(
        PictureFileError,
        match=r"^The picture cannot be saved as '.*found\.png', because the folder '.*missing' "
        r"does not exist\. Make it first\.$",
    ) as caught:
        draw(save=tmp_path / "missing" / "found.png")
    assert isinstance(caught.value, OSError)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["found", "found.xyz"])
def test_an_ending_without_a_format_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        PictureFileError,
        match=rf"^The picture's ending must be one of .*\.pdf, .*\.png, .*, but the file is "
        rf"'{name}'\. Choose one: ",
    ):
        pictures.waterfall({"a": 1.0}, save=tmp_path / name)


def test_the_user_s_settings_do_not_count(tmp_path: Path) -> None:
    pictures.waterfall({"a": 1.0}, save=tmp_path / "plain.png")
    with matplotlib.rc_context({"text.color": "white", "figure.facecolor": "black"}):
        pictures.waterfall({"a": 1.0}, save=tmp_path / "dark.png")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "dark.png").read_bytes()


def test_settings_are_back_after_an_error() -> None:
    before = settings()
    with pytest.raises(ValueError, match="must add up"):
        pictures.waterfall({"a": 1.0}, total=2.0)
    assert settings() == before


@EACH
def test_without_matplotlib_the_extra_is_named(
    draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        PicturePackageError,
        match=r"^Pictures are drawn by matplotlib, which is not installed\. Install it with: "
        r'python -m pip install "captum-ilin\[pictures\]"$',
    ) as caught:
        draw()
    assert isinstance(caught.value, ModuleNotFoundError)


def test_no_file_of_the_package_imports_matplotlib_when_it_is_imported() -> None:
    """Captum imports it itself today, so that asking ``sys.modules`` would say nothing."""
    files = [
        found.module_finder.find_spec(found.name).origin
        for found in pkgutil.walk_packages(pictures.__path__, "captum_ilin.pictures.")
    ]
    assert len(files) > 8
    package = find_spec("captum_ilin")
    assert package is not None
    for file in [*files, package.origin]:
        tree = ast.parse(Path(str(file)).read_text(encoding="utf-8"))
        assert not [node for node in tree.body if "matplotlib" in _imported(node)], file


def _imported(node: ast.stmt) -> str:
    """What a statement imports; of a block under TYPE_CHECKING nothing runs."""
    if isinstance(node, ast.Import):
        return " ".join(alias.name for alias in node.names)
    return str(node.module) if isinstance(node, ast.ImportFrom) else ""


def test_pyplot_is_never_asked_for() -> None:
    folder = Path(next(iter(pictures.__path__)))
    assert not [path for path in folder.glob("*.py") if "pyplot" in _code(path)]


def _code(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return " ".join(
        f"{getattr(node, 'module', '')} {' '.join(alias.name for alias in node.names)}"
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    )
