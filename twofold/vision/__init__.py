"""Pictures: transforms and data sets with torchvision's names. Needs Pillow.

    from twofold.vision import datasets, transforms

    prepare = transforms.Compose([
        transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(),
        transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])
    pictures = datasets.ImageFolder("pictures", prepare)

The models are in `twofold.models`.
"""

from . import datasets, transforms

__all__ = ["datasets", "transforms"]
