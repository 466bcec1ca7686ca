"""`torch.utils.model_zoo`, the older place of `torch.hub`."""

from __future__ import annotations

from ..hub import download_url_to_file, load_state_dict_from_url
from ..hub import tqdm as tqdm

load_url = load_state_dict_from_url
_download_url_to_file = download_url_to_file
