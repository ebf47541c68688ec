"""Toy pairs, toy text features, a tiny CLIP, and one training step, to run real parts in a fast test."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from vlfusion.config import load_config

_SPLITS = ('train', 'val', 'test')
#: Overrides that make any config start quickly: data is loaded in the main process, and every step is logged.
QUICK = {'randomness.seed': 3, 'default_hooks.logger.interval': 1,
         **{f'{split}_dataloader.{key}': value for split in _SPLITS
            for key, value in (('num_workers', 0), ('persistent_workers', False))}}
#: Overrides that shrink a config of FILM so that a step is fast.
TINY = {'model.backbone.guidance_grid': (16, 32), 'model.backbone.text_dim': 8, **QUICK}


def draw_pairs(folder: str | os.PathLike, names: Iterable[str], source_a: str = 'ir', source_b: str = 'vi',
               size: tuple[int, int] = (48, 56), seed: int = 0) -> None:
    """Write a smooth random grey image and a smooth random colour image for each name.

    Args:
        folder: data root that contains the folders `source_a` and `source_b`.
        names: file names without `.png`.
        source_a: folder of the grey images.
        source_b: folder of the colour images.
        size: height and width in pixels.
        seed: seed of the random numbers; equal arguments give equal images.
    """
    generator = np.random.default_rng(seed)
    for name in names:
        for source, shape in ((source_a, size), (source_b, (*size, 3))):
            image = cv2.GaussianBlur(generator.integers(0, 256, shape).astype(np.uint8), (0, 0), 2)
            path = Path(folder) / source / f'{name}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX))


def write_features(folder: str | os.PathLike, names: Iterable[str], dim: int = 8, seed: int = 0) -> None:
    """Write a random text feature `(1, token, dim)` of three to six tokens for each name, as `NAME.npy`."""
    generator = np.random.default_rng(seed)
    for name in names:
        path = Path(folder) / f'{name}.npy'
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, generator.normal(size=(1, generator.integers(3, 7), dim)).astype(np.float32))


def write_tiny_clip(folder: str | os.PathLike, seed: int = 0) -> str:
    """Write a CLIP of open_clip with few random weights: images of 16x16 pixels, embeddings of 12 numbers.

    Args:
        folder: existing folder for the model.
        seed: seed of the weights.

    Returns:
        The name by which open_clip loads it, `local-dir:FOLDER`.
    """
    import open_clip
    import torch
    config = dict(embed_dim=12, vision_cfg=dict(image_size=16, layers=1, width=16, patch_size=8, head_width=8),
                  text_cfg=dict(context_length=77, vocab_size=49408, width=16, heads=2, layers=2))
    Path(folder, 'open_clip_config.json').write_text(json.dumps(dict(model_cfg=config, preprocess_cfg={})))
    name = f'local-dir:{folder}'
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.create_model(name, load_weights=False)
    torch.save(model.state_dict(), Path(folder, 'open_clip_pytorch_model.bin'))
    return name


def take_one_step(path: str | os.PathLike, folder: str | os.PathLike, size: tuple[int, int], **options) -> Path:
    """Train a config for one step on two drawn pairs, validate it, and return the checkpoint that it wrote.

    Args:
        path: config to train, whose data sets name plain folders.
        folder: empty folder for the images and the work directory.
        size: height and width of the images, at least as large as the config's crops.
        **options: further overrides, such as `{'model.backbone.dim': 4}`.

    Raises:
        FileNotFoundError: training wrote no checkpoint.
    """
    from vlfusion.engine.runner import build_runner  # MMEngine's runner takes seconds to import
    folder = Path(folder)
    config = load_config(path, {**QUICK, 'data_root': str(folder), 'work_dir': str(folder / 'work'),
                                'train_cfg.max_iters': 1, 'train_cfg.val_interval': 1,
                                'train_dataloader.batch_size': 2, 'default_hooks.checkpoint.interval': 1, **options})
    for split in ('train', 'val'):
        dataset = config[f'{split}_dataloader'].dataset
        draw_pairs(folder, ['p0', 'p1'], dataset.source_a, dataset.source_b, size=size)
    build_runner(config, 'train').train()
    checkpoint = folder / 'work/iter_1.pth'
    if not checkpoint.is_file():
        raise FileNotFoundError(f'Training {path} for one step wrote no {checkpoint}.')
    return checkpoint
