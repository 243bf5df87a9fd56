"""``StoredMap``: what comes back from a file is what went in, bit by bit, or a clear error."""

from __future__ import annotations

import json
import os
import sys
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("safetensors", reason="the extra `save` is not installed")
from safetensors import safe_open
from safetensors.torch import save_file

import captum_ilin
from captum_ilin import (
    InputTypeError,
    NotExactError,
    NotOfferedError,
    PointError,
    Site,
    StoredFileError,
    StoredFileExistsError,
    StoredFilePackageError,
    StoredMap,
    TargetError,
    TargetRangeError,
    linearize,
)
from tests.networks import ConvNet, TinyTransformer, TwoInputs, relu_mlp, smooth_mlp

if TYPE_CHECKING:
    from pathlib import Path

    from captum_ilin import AffineMap

# Both sides sum some hundred products in float64, in different orders.
ROUNDING = {"rtol": 1e-11, "atol": 1e-12}


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def shaped() -> AffineMap:
    network = nn.Sequential(relu_mlp(3, 6, 6), nn.Unflatten(1, (3, 2)))
    return linearize(network, double(2, 3))


MAPS: dict[str, Any] = {
    "relu_mlp": lambda: linearize(relu_mlp(3, 6, 5), double(4, 3)),
    "smooth_mlp": lambda: linearize(smooth_mlp(), double(1, 3)),
    "convnet": lambda: linearize(ConvNet().double().eval(), double(2, 3, 12, 12)),
    "transformer": lambda: linearize(TinyTransformer(batch_first=True), double(2, 5, 8)),
    "shaped outputs": shaped,
    "one output": lambda: linearize(relu_mlp(3, 6, 1), double(2, 3)),
    "one value per row": lambda: linearize(
        nn.Sequential(relu_mlp(3, 6, 1), nn.Flatten(0)), double(2, 3)
    ),
    "one number per row": lambda: linearize(torch.exp, double(4)),
    "two inputs": lambda: linearize(TwoInputs().double(), (double(4, 3), double(4, 2))),
    "constant": lambda: linearize(lambda x: 0 * x + 1, double(2, 3)),
}


@pytest.fixture(params=MAPS)
def affine_map(request: pytest.FixtureRequest) -> AffineMap:
    return MAPS[request.param]()


def every_index(affine_map: AffineMap) -> list[tuple[int, ...]]:
    return list(product(*map(range, affine_map.outputs.shape[1:])))


def through_a_file(stored: StoredMap, folder: Path) -> StoredMap:
    stored.save(folder / "map.safetensors")
    return StoredMap.load(folder / "map.safetensors")


def parts(value: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)


def assert_same(found: Any, expected: Any) -> None:
    """Equal bits, dtypes and shapes, and tuples where there were tuples."""
    assert isinstance(found, tuple) == isinstance(expected, tuple)
    for one, other in zip(parts(found), parts(expected), strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert one.isnan().equal(other.isnan())
        assert one.nan_to_num().equal(other.nan_to_num())


def assert_same_map(found: StoredMap, expected: StoredMap) -> None:
    assert_same(found.inputs, expected.inputs)
    for name in ("outputs", "weights", "biases"):
        assert_same(getattr(found, name), getattr(expected, name))
    for name in ("targets", "certificate", "metadata", "versions"):
        assert getattr(found, name) == getattr(expected, name), name
    assert (found.ledgers is None) == (expected.ledgers is None)
    for one, other in zip(found.ledgers or (), expected.ledgers or (), strict=True):
        assert list(one) == list(other)
        assert all(isinstance(site, Site) for site in one)
        assert_same(tuple(one.values()), tuple(other.values()))
    assert repr(found) == repr(expected)


@pytest.mark.parametrize("ledger", [True, False])
def test_every_output_comes_back_as_the_map_has_it(
    affine_map: AffineMap, ledger: bool, tmp_path: Path
) -> None:
    stored = StoredMap.of(affine_map, ledger=ledger)
    loaded = through_a_file(stored, tmp_path)
    assert_same_map(loaded, stored)
    assert_same(loaded.outputs, affine_map.outputs)
    assert_same(loaded.inputs, affine_map.inputs)
    assert_same(loaded.weight(), affine_map.weight())
    assert_same(loaded.bias(), affine_map.bias())
    for target in every_index(affine_map):
        one, other = parts(loaded.weight(target)), parts(affine_map.weight(target))
        for found, expected in zip(one, other, strict=True):  # rows alone, or some together
            torch.testing.assert_close(found, expected, **ROUNDING)
        assert_same(loaded.bias(target), affine_map.bias(target))
        if ledger:
            one, other = loaded.bias_ledger(target), affine_map.bias_ledger(target)
            assert list(one) == list(other)
            assert_same(tuple(one.values()), tuple(other.values()))


def test_chosen_outputs_come_back_bit_by_bit(affine_map: AffineMap, tmp_path: Path) -> None:
    targets = every_index(affine_map)[::-2]
    loaded = through_a_file(StoredMap.of(affine_map, targets), tmp_path)
    for target in targets:
        assert_same(loaded.weight(target), affine_map.weight(target))
        assert_same(loaded.bias(target), affine_map.bias(target))
        one, other = loaded.bias_ledger(target), affine_map.bias_ledger(target)
        assert list(one) == list(other)
        assert_same(tuple(one.values()), tuple(other.values()))


def test_it_is_the_map_at_another_point(affine_map: AffineMap, tmp_path: Path) -> None:
    x = tuple(torch.randn_like(leaf) for leaf in parts(affine_map.inputs))
    x = x if isinstance(affine_map.inputs, tuple) else x[0]
    expected = affine_map(x)
    every = through_a_file(StoredMap.of(affine_map), tmp_path)
    torch.testing.assert_close(every(x), expected, **ROUNDING)
    targets = every_index(affine_map)[:2]
    some = StoredMap.of(affine_map, targets, ledger=False)(x)
    columns = torch.stack([expected[(slice(None), *target)] for target in targets], 1)
    torch.testing.assert_close(some, columns, **ROUNDING)


def test_the_sum_rule_is_measured_from_the_file(affine_map: AffineMap, tmp_path: Path) -> None:
    loaded = through_a_file(StoredMap.of(affine_map, thorough=True), tmp_path)
    assert loaded.check() < 1e-13
    assert loaded.certificate.replay_error is not None


@pytest.mark.parametrize("part", ["weights", "biases", "outputs", "ledgers"])
def test_numbers_that_do_not_add_up_are_found(part: str, tmp_path: Path) -> None:
    """A file made to look whole, with one number off by a millionth of it."""
    stored = StoredMap.of(linearize(relu_mlp(3, 6, 5), double(4, 3)), [2])
    tensor = {
        "weights": stored.weights[0],
        "biases": stored.biases,
        "outputs": stored.outputs[:, 2],
        "ledgers": next(iter((stored.ledgers or ())[0].values())),
    }[part]
    place = torch.unravel_index(tensor.abs().argmax(), tensor.shape)
    tensor[place] *= 1 + 1e-6
    loaded = through_a_file(stored, tmp_path)
    with pytest.raises(
        NotExactError, match=r"^What is stored does not add up: the relative error of <W, x0> "
    ):
        loaded.check()
    assert loaded.check(tolerance=1e-5) < 1e-5


# dtypes and memory


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str
)
def test_every_floating_point_type(dtype: torch.dtype, tmp_path: Path) -> None:
    network = relu_mlp(3, 6, 5).to(dtype)
    affine_map = linearize(network, torch.randn(4, 3).to(dtype))
    stored = StoredMap.of(affine_map)
    loaded = through_a_file(stored, tmp_path)
    assert_same_map(loaded, stored)
    assert loaded.outputs.dtype == loaded.weights[0].dtype == dtype
    assert loaded.check() <= 16 * torch.finfo(dtype).eps
    expected = loaded.outputs.double()
    error = (loaded(loaded.inputs).double() - expected).abs().max() / expected.abs().max()
    assert error <= 16 * torch.finfo(dtype).eps


def test_a_network_under_autocast_in_mixed_types(tmp_path: Path) -> None:
    network = relu_mlp(3, 6, 5).float()
    with torch.autocast("cpu", torch.bfloat16):
        affine_map = linearize(network, torch.randn(4, 3))
    stored = StoredMap.of(affine_map)
    loaded = through_a_file(stored, tmp_path)
    assert_same_map(loaded, stored)
    assert loaded.certificate.precision == torch.bfloat16
    assert loaded(loaded.inputs).dtype == loaded.outputs.dtype
    assert loaded.check() < 0.063


def test_complex_values_on_the_way(tmp_path: Path) -> None:
    def spectrum(x: Tensor) -> Tensor:
        return torch.fft.fft(torch.relu(x) + 0.5).real

    loaded = through_a_file(StoredMap.of(linearize(spectrum, double(2, 6))), tmp_path)
    assert loaded.check() < 1e-13


def test_complex_outputs_are_refused() -> None:
    with pytest.raises(NotOfferedError) as error:
        StoredMap.of(linearize(torch.fft.fft, double(2, 6)))
    assert str(error.value) == (
        "The outputs are torch.complex128, and a map of complex outputs has no real W to "
        "store. Linearize `lambda x: torch.view_as_real(model(x))`."
    )


def test_memory_that_is_shared_expanded_or_turned(tmp_path: Path) -> None:
    x = double(1, 3).expand(4, 3)
    y = double(3, 2).T[:, :].repeat(2, 1).T.T
    for inputs in (x, double(3, 4).T, y.as_strided((2, 3), (1, 2))):
        affine_map = linearize(relu_mlp(3, 6, 5), inputs)
        assert_same(through_a_file(StoredMap.of(affine_map), tmp_path).inputs, inputs)
        (tmp_path / "map.safetensors").unlink()
    both = linearize(lambda a, b: a + b, (x, x))
    assert_same(through_a_file(StoredMap.of(both), tmp_path).inputs, (x, x))


def test_what_is_stored_is_its_own(tmp_path: Path) -> None:
    """Changing the inputs or the network afterwards does not reach it."""
    network, x = relu_mlp(3, 6, 5), double(4, 3)
    stored = StoredMap.of(linearize(network, x))
    before = x.clone()
    x.zero_()
    with torch.no_grad():
        network[0].weight.zero_()
    assert_same(stored.inputs, before)
    assert stored.check() < 1e-13
    assert not stored.weights[0].requires_grad


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode])
def test_callers_without_gradients(caller: Any, tmp_path: Path) -> None:
    network, x = relu_mlp(3, 6, 5), double(4, 3)
    expected = StoredMap.of(linearize(network, x))
    with caller():
        loaded = through_a_file(StoredMap.of(linearize(network, x.clone())), tmp_path)
    assert_same_map(loaded, expected)


# targets


@pytest.mark.parametrize(
    ("target", "same"),
    [
        (3, [3, -2, (3,), torch.tensor(3), torch.tensor([3]), [3, 3], [(3,), (-2,)]]),
        ([1, 4], [[1, -1], [(1,), (4,)], torch.tensor([1, 4])]),
    ],
)
def test_a_target_is_found_in_any_of_its_forms(target: Any, same: Any, tmp_path: Path) -> None:
    affine_map = linearize(relu_mlp(3, 6, 5), double(2, 3))
    loaded = through_a_file(StoredMap.of(affine_map, [0, target]), tmp_path)
    for form in [target, *same]:
        assert_same(loaded.weight(form), affine_map.weight(target))
        assert_same(loaded.bias(form), affine_map.bias(target))
        assert_same_map(StoredMap.of(affine_map, [0, form]), loaded)
    every = StoredMap.of(affine_map)
    torch.testing.assert_close(every.weight(target), affine_map.weight(target), **ROUNDING)


def test_targets_of_several_dimensions(tmp_path: Path) -> None:
    targets = [(2, 1), [(0, 0), (1, 1)]]
    affine_map = shaped()
    loaded = through_a_file(StoredMap.of(affine_map, targets), tmp_path)
    assert loaded.targets == tuple(targets)
    for target in targets:
        assert_same(loaded.weight(target), affine_map.weight(target))
    assert repr(loaded) == (
        "StoredMap(inputs (2, 3) -> targets (2, 1), [(0, 0), (1, 1)] of outputs (2, 3, 2), "
        "torch.float64, DEFAULT_RULES)"
    )


def test_no_target_where_there_is_one_output(tmp_path: Path) -> None:
    for name in ("one output", "one value per row"):
        affine_map = MAPS[name]()
        loaded = StoredMap.of(affine_map, [None])
        assert_same(loaded.weight(), affine_map.weight())
        assert_same(loaded.bias(), affine_map.bias())
        assert list(loaded.bias_ledger()) == list(affine_map.bias_ledger())


def test_many_targets_are_shown_by_the_first_and_the_last() -> None:
    affine_map = linearize(relu_mlp(3, 6, 50), double(2, 3))
    stored = StoredMap.of(affine_map, list(range(40)), ledger=False)
    assert "-> targets 0, 1, 2, ..., 39 of outputs (2, 50)" in repr(stored)


STORED = "not among those that were stored, 0, 3. Ask for one of these, or store it too"


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (1, TargetError, f"The target 1 is {STORED}: StoredMap.of(affine_map, targets=[...])."),
        (
            [0, 3],
            TargetError,
            f"The target [(0,), (3,)] is {STORED}: StoredMap.of(affine_map, targets=[...]).",
        ),
        (7, TargetRangeError, "The target 7 is out of range: the output of each example has"),
        ((1, 2), TargetError, "The target (1, 2) has 2 indices, but each example's output"),
        (None, TargetError, "No target was given, but forward_func returns 5 outputs per"),
        ("cat", TargetError, "The target 'cat' has a form that is not known."),
    ],
)
def test_a_target_that_is_not_there(target: Any, error: Any, message: str) -> None:
    stored = StoredMap.of(linearize(relu_mlp(3, 6, 5), double(2, 3)), [0, 3])
    for ask in (stored.weight, stored.bias, stored.bias_ledger):
        with pytest.raises(error) as raised:
            ask(target)
        assert str(raised.value).startswith(message)


@pytest.mark.parametrize("targets", [3, (1, 2), torch.tensor([1]), [], "all"])
def test_targets_are_a_list(targets: Any) -> None:
    with pytest.raises(TargetError) as error:
        StoredMap.of(linearize(relu_mlp(3, 6, 5), double(2, 3)), targets)
    assert str(error.value) == (
        "targets must be a list of targets, such as [3, 5], or None for every output, but got "
        f"{targets!r}. For one target pass a list of one."
    )


def test_ledgers_that_are_not_there() -> None:
    affine_map = linearize(relu_mlp(3, 6, 5), double(2, 3))
    with pytest.raises(NotOfferedError) as error:
        StoredMap.of(affine_map, ledger=False).bias_ledger(0)
    assert str(error.value) == (
        "The map was stored without its bias ledgers. Store it with them: "
        "StoredMap.of(..., ledger=True)."
    )
    with pytest.raises(NotOfferedError, match=r"but the target differs by row\. Store it as"):
        StoredMap.of(affine_map).bias_ledger([0, 1])


def test_another_point_has_the_shape_of_the_inputs() -> None:
    stored = StoredMap.of(linearize(relu_mlp(3, 6, 5), double(2, 3)))
    with pytest.raises(PointError, match=r"^x has shape \(2, 4\); expected \(2, 3\), because"):
        stored(double(2, 4))


def test_only_maps_are_stored() -> None:
    with pytest.raises(InputTypeError) as error:
        StoredMap.of(relu_mlp(3, 5))  # type: ignore[arg-type]  # what is tested
    assert str(error.value) == (
        "What is stored must be an AffineMap, but got Sequential. Make one: "
        "`linearize(model, inputs)`."
    )


# the file


def small() -> StoredMap:
    """Two inputs, and a name in a file that no module has."""
    affine_map = linearize(TwoInputs().double(), (double(2, 3), double(2, 2)))
    return StoredMap.of(affine_map, [0, 2], metadata={"run": "17", "wer": "Zoë ☂"})


def test_plain_safetensors_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "map.safetensors"
    stored = small()
    stored.save(str(path))
    with safe_open(path, framework="pt") as file:
        metadata, names = file.metadata(), set(file.keys())
        assert file.get_tensor("weights.1").equal(stored.weights[1])
    assert metadata["format"] == "captum_ilin.StoredMap"
    assert metadata["format_version"] == "1"
    assert metadata["captum_ilin"] == captum_ilin.__version__
    assert metadata["torch"] == torch.__version__
    assert metadata["captum"][0].isdecimal()
    assert metadata["rules"] == "DEFAULT_RULES"
    assert json.loads(metadata["targets"]) == [0, 2]
    assert json.loads(metadata["input_shapes"]) == [[2, 3], [2, 2]]
    assert json.loads(metadata["input_dtypes"]) == ["float64", "float64"]
    assert json.loads(metadata["output_shapes"]) == [[2, 3]]
    assert json.loads(metadata["output_dtypes"]) == ["float64"]
    assert json.loads(metadata["certificate"])["value_error"] < 1e-14
    assert ["left", "linear"] in json.loads(metadata["ledger"])[0]
    assert metadata["user.wer"] == "Zoë ☂"
    assert {"inputs.0", "inputs.1", "outputs", "biases", "weights.0", "ledger.1.0"} <= names


def test_metadata_are_kept_as_they_were_given(tmp_path: Path) -> None:
    words = {"run": "17", "format": "mine", "": "empty", "sha256": "x"}
    stored = StoredMap.of(linearize(relu_mlp(3, 5), double(1, 3)), metadata=words)
    words["run"] = "18"
    loaded = through_a_file(stored, tmp_path)
    assert dict(loaded.metadata) == {**words, "run": "17"}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (
            {"epochs": 3},
            "metadata must be text to text, but 'epochs' is 3. Write numbers and structure as "
            "text, for example by json.dumps.",
        ),
        (["a"], "metadata must be a dict of text to text, but got list."),
    ],
)
def test_metadata_that_are_no_text(metadata: Any, message: str) -> None:
    with pytest.raises(InputTypeError) as error:
        StoredMap.of(linearize(relu_mlp(3, 5), double(1, 3)), metadata=metadata)
    assert str(error.value) == message


def test_a_file_is_not_overwritten_unless_asked(tmp_path: Path) -> None:
    path, stored = tmp_path / "map.safetensors", small()
    path.write_bytes(b"mine")
    with pytest.raises(StoredFileExistsError) as error:
        stored.save(path)
    assert str(error.value) == (
        f"{str(path)!r} exists, and is left as it is. Choose another name, or pass "
        "overwrite=True to replace it."
    )
    assert isinstance(error.value, FileExistsError)
    assert path.read_bytes() == b"mine"
    stored.save(path, overwrite=True)
    assert_same_map(StoredMap.load(path), stored)
    assert os.listdir(tmp_path) == ["map.safetensors"]


def test_nothing_is_left_behind_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(tensors: Any, filename: Path, metadata: Any) -> None:
        filename.write_bytes(b"half of it")
        raise OSError("No space left on device")

    path, stored = tmp_path / "map.safetensors", small()
    path.write_bytes(b"before")
    monkeypatch.setattr("safetensors.torch.save_file", half)
    with pytest.raises(OSError, match="No space left on device"):
        stored.save(path, overwrite=True)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["map.safetensors"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_the_file_has_the_mode_of_others(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch()
    small().save(tmp_path / "map.safetensors")
    assert (tmp_path / "map.safetensors").stat().st_mode == other.stat().st_mode


def test_a_place_where_no_file_can_be(tmp_path: Path) -> None:
    stored = small()
    with pytest.raises(
        StoredFileError, match=r"cannot be written, because its folder does not "
    ):
        stored.save(tmp_path / "missing" / "map.safetensors")
    with pytest.raises(StoredFileError, match=r"is a folder\. Give the name of a file\.$"):
        stored.save(tmp_path, overwrite=True)


def test_without_safetensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = small()
    stored.save(tmp_path / "map.safetensors")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    for ask in (
        lambda: stored.save(tmp_path / "other.safetensors"),
        lambda: StoredMap.load(tmp_path / "map.safetensors"),
    ):
        with pytest.raises(StoredFilePackageError) as error:
            ask()
        assert str(error.value) == (
            "Maps are stored by safetensors, which is not installed. Install it with: "
            'python -m pip install "captum-ilin[save]"'
        )
    assert stored.check() < 1e-13  # which needs no file


# files that are not ours, or no more


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "map.safetensors"
    small().save(path)
    return path


def said_of(path: Path) -> str:
    with pytest.raises(StoredFileError) as error:
        StoredMap.load(path)
    assert str(path) in str(error.value)
    return str(error.value).replace(repr(str(path)), "FILE")


def contents(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata())  # noqa: SIM118  # it is no dict


def test_no_file(tmp_path: Path) -> None:
    said = said_of(tmp_path / "none.safetensors")
    assert said == "There is no file FILE. Check its name and folder."


@pytest.mark.parametrize("keep", [0, 5, 300, -1])
def test_a_file_cut_short(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    said = said_of(saved)
    assert said.startswith("FILE is no safetensors file, or only a part of one: ")
    assert said.endswith("Load what `StoredMap.save` wrote, or save the map again.")


def test_a_pickle(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"a": torch.ones(3)}, path)
    assert said_of(path).startswith("FILE is no safetensors file, or only a part of one: ")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_another_safetensors_file(tmp_path: Path, metadata: Any) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.ones(3)}, path, metadata=metadata)
    said = None if metadata is None else "pt"
    assert said_of(path) == (
        f"FILE holds no stored map: its metadata say format {said!r}, expected "
        "'captum_ilin.StoredMap'. Load what `StoredMap.save` wrote."
    )


@pytest.mark.parametrize("version", ["2", "next", None])
def test_another_version_of_the_format(saved: Path, version: str | None) -> None:
    tensors, metadata = contents(saved)
    del metadata["format_version"]
    if version is not None:
        metadata["format_version"] = version
    save_file(tensors, saved, metadata={**metadata, "captum_ilin": "7.0"})
    assert said_of(saved) == (
        f"FILE is of format version {version or 'unknown'}, and this captum_ilin reads version "
        "1. It was written by captum_ilin 7.0: install that one or a newer."
    )


def test_a_certificate_that_was_changed(saved: Path) -> None:
    tensors, metadata = contents(saved)
    certificate = json.loads(metadata["certificate"]) | {"value_error": 1e-20}
    save_file(tensors, saved, metadata={**metadata, "certificate": json.dumps(certificate)})
    assert said_of(saved) == CHANGED


@pytest.mark.parametrize("name", ["weights.0", "inputs.1", "ledger.0.0", "biases"])
def test_a_number_that_was_changed(saved: Path, name: str) -> None:
    tensors, metadata = contents(saved)
    tensors[name].view(-1)[0] = torch.nextafter(tensors[name].view(-1)[0], torch.tensor(9.0))
    save_file(tensors, saved, metadata=metadata)
    assert said_of(saved) == CHANGED


def test_a_tensor_that_was_taken_out_or_added(saved: Path) -> None:
    tensors, metadata = contents(saved)
    save_file({**tensors, "more": torch.ones(1)}, saved, metadata=metadata)
    assert said_of(saved) == CHANGED
    del tensors["biases"]
    save_file(tensors, saved, metadata=metadata)
    assert said_of(saved) == CHANGED


def test_a_byte_that_was_changed(saved: Path) -> None:
    whole = bytearray(saved.read_bytes())
    whole[-3] ^= 1
    saved.write_bytes(whole)
    assert said_of(saved) == CHANGED


CHANGED = (
    "FILE was changed after it was written: its numbers or metadata do not have the digest "
    "that it states. Save the map again."
)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("certificate", "{}", "KeyError, 'dtype'"),
        ("certificate", "no JSON", "JSONDecodeError, Expecting value"),
        ("ledger", "[[3]]", "TypeError, "),
        ("targets", None, "KeyError, 'targets'"),
    ],
)
def test_metadata_that_another_program_wrote(
    saved: Path, name: str, value: str | None, why: str
) -> None:
    """With a digest that fits."""
    from captum_ilin.storedfile import _digest

    tensors, metadata = contents(saved)
    del metadata[name]
    if value is not None:
        metadata[name] = value
    metadata["sha256"] = _digest(tensors, metadata)
    save_file(tensors, saved, metadata=metadata)
    assert said_of(saved).startswith(
        f"The metadata of FILE are not those of a stored map: {why}"
    )
