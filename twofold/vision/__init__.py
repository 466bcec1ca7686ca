"""Pictures: transforms and data sets with torchvision's names. Needs Pillow.

    from twofold.vision import datasets, transforms

    prepare = transforms.Compose([
        transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(),
        transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])
    pictures = datasets.ImageFolder("pictures", prepare)

The models are in `twofold.models`.
"""

try:
    from . import datasets, transforms
except ModuleNotFoundError as _error:
    if (_error.name or "").partition(".")[0] != "PIL":
        raise
    raise ModuleNotFoundError(
        "[vision] pictures are decoded by the package pillow; try pip install 'twofold[vision]'",
        name="PIL",
    ) from _error

__all__ = ["datasets", "transforms"]
