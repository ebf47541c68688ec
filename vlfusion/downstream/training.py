"""Train a detector or segmenter on pictures with labels, and predict with it.

Two networks that learn the scenes of `vlfusion.testing.labelled_toys` from nothing, on one thread of a processor, as
tests/downstream/test_training.py holds. The detector takes about 20 seconds. The segmenter takes 10, from 24 pictures:

    detector = dict(type='TorchvisionDetector', model='fcos', backbone='test_resnet', levels=(1, 2, 3), channels=64,
                    convs=1, size=(64, 64))
    training = TrainingPlan(max_iters=300, size=(64, 64), lr=2e-3)

    segmenter = dict(type='TransformersSegmenter', size=(64, 64), model=dict(
        model_type='upernet', hidden_size=32, auxiliary_in_channels=64, auxiliary_channels=16, pool_scales=[1, 2],
        backbone_config=dict(model_type='convnext', depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 64, 64], patch_size=2,
                             out_features=['stage1', 'stage2', 'stage3', 'stage4'])))
    training = TrainingPlan(max_iters=150, size=(64, 64), lr=3e-3, scale=(0.9, 1.2))
"""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import set_random_seed
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vlfusion.data.sampler import Draw, EpochSampler
from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.interfaces import IGNORED, Detector, Labels, Mask, Picture, Segmenter
from vlfusion.downstream.sets import image_size
from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.engine.digests import code_digest, key_of, modules_of
from vlfusion.engine.hooks import ProgressHook
from vlfusion.engine.locks import lock_work_dir
from vlfusion.engine.runner import FusionRunner, latest_checkpoint
from vlfusion.engine.states import load_strictly, write_state
from vlfusion.errors import CheckpointError, ConfigError, DataError, NetworkError, UnknownNameError
from vlfusion.files import content_digest, strict_json, write_json
from vlfusion.guards.foreign import foreign
from vlfusion.guards.ranges import COUNT, NOT_NEGATIVE, POSITIVE, SEED, WHOLE
from vlfusion.guards.redaction import without_secrets
from vlfusion.imaging.reading.image import read_image
from vlfusion.language.captioners.pixels import rgb
from vlfusion.registry import DETECTORS, SEGMENTERS

#: The trained network in its work_dir, and the record of the training that the folder belongs to.
NETWORK, RECORD = 'network.safetensors', 'training.json'
#: Settings of a network, and of a training, that change how it runs or what it reports, but not its weights.
NOT_LEARNT = frozenset(('device', 'batch_size', 'threshold', 'top_k', 'overlap'))
NOT_LEARNT_FROM = frozenset(('workers', 'save_every'))
#: Parts of `identity` in words, where they differ from their keys.
_IN_WORDS = dict(void='void class', code="code of the network's class")
#: Grey level beside a picture that is smaller than what the network sees.
PADDING = 114


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Budget and settings of a training.

    A training picture is mirrored or not, scaled by chance, and cropped or padded to `size`.

    Attributes:
        max_iters: training steps.
        size: height and width of the training pictures; None for those of the first picture. The network should see
            pictures of this size later too.
        batch_size: pictures in a step.
        lr: learning rate after the warm-up. It falls to zero at the end.
        optimizer: the optimizer of torch with its other settings.
        warmup: steps in which the learning rate rises.
        power: exponent of the fall: 1 for a straight line.
        clip: the largest norm of the gradient; None for no limit.
        flip: probability of a mirrored picture.
        scale: least and largest scale. At 1 the whole picture just fits into `size`.
        learn_void: True to train the void class as any other, as is usual for MSRS and MFNet, where it is the
            background; False to leave its pixels out.
        workers: processes that read pictures; 0 for this process.
        save_every: steps between two checkpoints, from which an interrupted training goes on.

    Raises:
        ConfigError: a setting is out of its range.
    """

    max_iters: int
    size: Sequence[int] | None = None
    batch_size: int = 8
    lr: float = 1e-4
    optimizer: Mapping[str, Any] = field(default_factory=lambda: dict(type='AdamW', weight_decay=1e-4))
    warmup: int = 50
    power: float = 0.9
    clip: float | None = 10.
    flip: float = 0.5
    scale: Sequence[float] = (0.5, 2.0)
    learn_void: bool = True
    workers: int = 0
    save_every: int = 500

    def __post_init__(self):
        counts = dict(max_iters=self.max_iters, batch_size=self.batch_size, save_every=self.save_every)
        for name, value in counts.items():
            COUNT.check(f'training.{name}', value)
        for name in ('size', 'scale'):
            values = getattr(self, name)
            if name == 'size' and values is None:
                continue
            if len(values) != 2:
                raise ConfigError(f'training.{name} is {values!r}.', f'Give two numbers, such as {name}=(480, 640).'
                                  if name == 'size' else 'Give the least and the largest, such as scale=(0.5, 2.0).')
            object.__setattr__(self, name, tuple(values))  # a list from JSON means the same
            for value in values:
                (COUNT if name == 'size' else POSITIVE).check(f'training.{name}', value)
        if self.scale[0] > self.scale[1] or not 0 <= self.flip <= 1:
            raise ConfigError(f'training.scale is {self.scale} and training.flip is {self.flip}.',
                              'Give the least scale first, and a probability from 0 to 1.')
        for name, kind in (('lr', POSITIVE), ('power', NOT_NEGATIVE), ('warmup', WHOLE), ('workers', WHOLE),
                           *([('clip', POSITIVE)] if self.clip is not None else [])):
            kind.check(f'training.{name}', getattr(self, name))
        if self.warmup >= self.max_iters:
            object.__setattr__(self, 'warmup', self.max_iters // 2)


def train_network(network: Mapping[str, Any], labels: Labels, pictures: Mapping[str, str | os.PathLike],
                  training: TrainingPlan, work_dir: str | os.PathLike, *, seed: int = 0,
                  progress: Callable[[int, int], object] | None = None, verbose: bool = False) -> Path:
    """Train a detector or segmenter, or go on with a training that was interrupted.

    It takes the GPU if there is one. An interrupted training ends with the weights of an uninterrupted one. A finished
    one is not repeated. Equal arguments give equal weights on a processor; on a GPU, additions in another order may
    change the last digits.

        checkpoint = train_network(detector, labels, pictures, training, 'work_dirs/film')
        for name, boxes in predict(detector, labels.classes, test_pictures, checkpoint):
            print(name, len(boxes))

    Args:
        network: config of a detector or segmenter.
        labels: boxes for a detector, masks for a segmenter. They may hold further names.
        pictures: file of each picture by its name.
        training: budget and settings.
        work_dir: folder of this training, for its log, its checkpoints and the trained network.
        seed: seed of the first weights, the order of pictures and their changes.
        progress: called after each step with the number of finished steps and of all; None prints the progress.
        verbose: True to show every line of the log; its file always has them.

    Returns:
        The trained weights, `work_dir/network.safetensors`, for `load_network` and `predict`.

    Raises:
        ConfigError: the config of the network is not valid, the network cannot be trained, labels of the other kind are
            given, another process trains in this folder, or the folder belongs to another training.
        DataError: there is no picture, a picture or label is absent, or one is not valid. All but damaged pictures are
            named before training begins.
        NetworkError: the loss is not finite, or the network fails; names the step.
    """
    if not pictures:
        raise DataError('There are no pictures to train on.', 'Give at least one with its label.')
    SEED.check('seed', seed)
    _check_kind(network, labels)
    work_dir = Path(work_dir)
    lock = lock_work_dir(work_dir)
    try:
        data = LabelledPictures(pictures, labels, training)
        record = dict(identity(network, labels.classes, training), seed=seed, data=data.digest)
        target = work_dir / NETWORK
        _claim(work_dir, record)
        if target.is_file():
            return target
        set_random_seed(seed)
        built = build_network(network, labels.classes)
        if not built.trainable:
            raise ConfigError(f'{type(built).__name__} cannot be trained as it is configured.',
                              "Set new_head=True and dtype='float32', or use its own classes without training.")
        hooks = [_Steps(seed), ProgressHook(progress)]
        runner = _runner(built, data, record, training, work_dir, seed, hooks, verbose=verbose, lock=lock)
        with foreign(f'{type(built).__name__} fails in training', NetworkError, 'Check its config and the batch size.'):
            runner.train()
        state = {name: value.cpu() for name, value in built.state_dict().items()}
        write_state(target, state, dict(vlfusion=record, iterations=training.max_iters))
        for checkpoint in work_dir.glob('iter_*.pth'):
            checkpoint.unlink()
        return target
    finally:
        lock.release(force=True)


def identity(network: Mapping[str, Any], classes: ClassTable, training: TrainingPlan | None) -> dict[str, Any]:
    """Return all that decides the weights of a trained network, but for the seed, the pictures and their labels.

    Settings that only change how a network runs or what it reports have no part: `NOT_LEARNT` and `NOT_LEARNT_FROM`.
    Secrets are left out. A model in a local folder counts by the content of its files, wherever it lies.

    Args:
        network: config of a detector or segmenter.
        classes: classes of the labels.
        training: budget and settings; None for a network that is used as it is.

    Returns:
        Plain data: the `network`, the names of the `classes`, the number of the `void` class, the `training`, and a
        digest of the `code` of the network's class.

    Raises:
        UnknownNameError: the network is neither a detector nor a segmenter.
        DataError: a file of the model cannot be read.
    """
    registry = _registry(network)
    parts = {key: value for key, value in network.items() if key not in NOT_LEARNT}
    if files := _model_files(network.get('model')):
        parts['model'] = dict(files=key_of(files={file.name: content_digest(file) for file in files}))
        parts.pop('revision', None)
    settings = None if training is None else {
        key: value for key, value in asdict(training).items() if key not in NOT_LEARNT_FROM}
    return dict(network=without_secrets(_plain(parts)), classes=list(classes.names), void=classes.void,
                training=without_secrets(_plain(settings)),
                code=code_digest(*modules_of(registry.get(network['type'])), packages=()))


def build_network(network: Mapping[str, Any], classes: ClassTable) -> Detector | Segmenter:
    """Build a detector or segmenter from its config.

    Raises:
        ConfigError: the config is not valid.
        UnknownNameError: its type is neither a detector nor a segmenter.
    """
    return _registry(network).build({**network, 'classes': classes})


def load_network(network: Mapping[str, Any], classes: ClassTable,
                 checkpoint: str | os.PathLike) -> Detector | Segmenter:
    """Build a network from its config, and load the weights that `train_network` wrote.

    Only tensors and plain values are read from the file, and the config is the caller's, so no code of a stranger runs.

    Raises:
        ConfigError, UnknownNameError: as for `build_network`.
        CheckpointError: the file is unsafe, truncated, not of such a training, or does not fit the network or classes.
    """
    content = load_checkpoint_file(checkpoint)
    record = content.get('meta', {}).get('vlfusion') if isinstance(content.get('meta'), dict) else None
    if not isinstance(record, dict) or not {'network', 'classes'} <= record.keys():
        raise CheckpointError(f'{checkpoint} holds no network of a downstream task.',
                              f'Give a {NETWORK} that a downstream training wrote.')
    if list(classes.names) != record['classes']:
        raise CheckpointError(f'{checkpoint} knows the classes {", ".join(record["classes"])}; expected '
                              f'{", ".join(classes.names)}.', 'Use the class table that it was trained with.')
    built = build_network(network, classes)
    load_strictly(built, content['state_dict'], str(checkpoint))
    return built.eval()


def predict(network: Mapping[str, Any], classes: ClassTable, pictures: Mapping[str, str | os.PathLike],
            checkpoint: str | os.PathLike | None = None) -> Iterator[tuple[str, Boxes | Mask]]:
    """Yield the name of each picture with its boxes or mask, in the order of the pictures.

    Args:
        network: config of a detector or segmenter.
        classes: classes of the labels.
        pictures: file of each picture by its name.
        checkpoint: weights as `train_network` wrote them; None for a network that is used as it is.

    Raises:
        ConfigError, UnknownNameError, CheckpointError: as for `load_network`; or without a checkpoint, the network has
            random weights.
        DataError: a picture is absent or not an image.
        NetworkError: the network fails; names the pictures.
    """
    built = load_network(network, classes, checkpoint) if checkpoint else build_network(network, classes)
    if built.untrained and not checkpoint:
        raise ConfigError(f'{type(built).__name__} has random weights, so it finds nothing.',
                          'Train it: write training=dict(max_iters=..., size=...). Or give it published weights.')
    work = built.detect if isinstance(built, Detector) else built.segment
    names, size = list(pictures), getattr(built, 'batch_size', 4)
    for start in range(0, len(names), size):
        batch = names[start:start + size]
        read = [read_picture(pictures[name]) for name in batch]
        with foreign(f'{type(built).__name__} fails at {", ".join(batch)}', NetworkError):
            results = work(read)
        yield from zip(batch, results, strict=True)


def read_picture(path: str | os.PathLike) -> Picture:
    """Read a picture as 8-bit RGB; a grey one gets three equal channels. Errors as for `read_image`."""
    return np.array(rgb(read_image(path)))


def bytes_of(label: Boxes | Mask) -> bytes:
    """Return all of a label that a training reads, for a digest."""
    parts = (label.corners, label.classes, label.ignored) if isinstance(label, Boxes) else (label,)
    return b''.join(b'none' if part is None else np.ascontiguousarray(part).tobytes() for part in parts)


class LabelledPictures(Dataset):
    """Training pictures with their labels, changed by chance as the plan says.

    A sample depends on its `Draw` alone. All labels are read at once, so that a missing one is named early.

    Args:
        pictures: file of each picture by its name.
        labels: boxes or masks.
        training: the plan: size, scale, flips, void.

    Attributes:
        digest: SHA-256 of all names, pictures and labels in hex.

    Raises:
        DataError: a picture is absent, or a label is absent or not valid.
    """

    name, noun, metainfo = 'labelled pictures', 'picture', {}  # MMEngine warns of a data set without metainfo

    def __init__(self, pictures: Mapping[str, str | os.PathLike], labels: Labels, training: TrainingPlan):
        from torchvision.transforms import v2
        from torchvision.tv_tensors import Image
        from torchvision.tv_tensors import Mask as MaskTensor
        self.names, self.labels, self.training = list(pictures), labels, training
        self.files = {name: Path(path) for name, path in pictures.items()}
        self.boxes, digest = {}, sha256()
        for name, path in self.files.items():
            digest.update(f'{name} {content_digest(path)} '.encode())
            label = labels.read(name, image_size(path))
            if labels.kind == 'boxes':
                self.boxes[name] = label
            digest.update(bytes_of(label))
        self.digest = digest.hexdigest()
        size = training.size or image_size(self.files[self.names[0]])
        fill = {Image: PADDING, MaskTensor: IGNORED}
        self.change = v2.Compose([
            v2.RandomHorizontalFlip(training.flip),
            _Scale(size, training.scale),
            v2.RandomCrop(size, pad_if_needed=True, fill=fill),
            v2.ClampBoundingBoxes(),
            v2.SanitizeBoundingBoxes(min_size=1, labels_getter=itemgetter('classes'))
            if labels.kind == 'boxes' else v2.Identity(),
            v2.ToDtype({Image: torch.float32, 'others': None}, scale=True)])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        from torchvision.tv_tensors import BoundingBoxes, Image
        from torchvision.tv_tensors import Mask as MaskTensor
        name = self.names[draw.index]
        picture = read_picture(self.files[name])
        sample = dict(picture=Image(torch.from_numpy(picture).permute(2, 0, 1)))
        if self.labels.kind == 'boxes':
            label = self.boxes[name]
            kept = np.ones(len(label), bool) if label.ignored is None else ~label.ignored
            sample['corners'] = BoundingBoxes(torch.from_numpy(label.corners[kept]).float().reshape(-1, 4),
                                              format='XYXY', canvas_size=picture.shape[:2])
            sample['classes'] = torch.from_numpy(label.classes[kept]).long()
        else:
            mask = torch.from_numpy(np.asarray(self.labels.read(name, picture.shape[:2]), np.int64))
            if not self.training.learn_void and self.labels.classes.void is not None:
                mask = mask.masked_fill(mask == self.labels.classes.void, IGNORED)
            sample['mask'] = MaskTensor(mask)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(draw.seed)
            sample = self.change(sample)
        plain = {key: torch.as_tensor(value).as_subclass(Tensor) for key, value in sample.items()}
        if 'corners' in plain:
            plain['label'] = Boxes(plain.pop('corners').double().numpy(), plain.pop('classes').numpy())
        else:
            plain['label'] = plain.pop('mask')
        return plain


@dataclass(frozen=True)
class _Scale:
    """Scale a sample by chance. At scale 1 the whole picture just fits into `size`, height and width.

    `ScaleJitter` of torchvision 0.29 divides the height of the size by the width of the picture.
    """

    size: Sequence[int]
    scale: Sequence[float]

    def __call__(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        from torchvision.transforms.v2.functional import resize
        from torchvision.tv_tensors import TVTensor
        least, most = self.scale
        sides = sample['picture'].shape[-2:]
        scale = (least + torch.rand(()).item() * (most - least)) * min(
            target / side for target, side in zip(self.size, sides, strict=True))
        scaled = [max(1, round(side * scale)) for side in sides]
        return {key: resize(value, scaled, antialias=True) if isinstance(value, TVTensor) else value
                for key, value in sample.items()}


def _batch(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Stack pictures and masks; boxes stay a list."""
    labels = [sample['label'] for sample in samples]
    return dict(pictures=torch.stack([sample['picture'] for sample in samples]),
                labels=labels if isinstance(labels[0], Boxes) else torch.stack(labels))


class _Training(BaseModel):
    """A network in the form that MMEngine trains."""

    def __init__(self, network: Detector | Segmenter):
        super().__init__()
        self.network = network

    def forward(self, pictures: Float[Tensor, 'batch 3 height width'], labels: Any,
                mode: str = 'loss') -> dict[str, Tensor]:
        return self.network.losses(pictures, labels)


class _Steps(Hook):
    """Seed each step by its number, so that a resumed one draws the same numbers, and stop at a loss of NaN."""

    def __init__(self, seed: int):
        self.seed = seed

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        set_random_seed(int(np.random.SeedSequence((self.seed, runner.iter)).generate_state(1)[0]))

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        loss = torch.as_tensor(outputs['loss']).item()
        if not math.isfinite(loss):
            raise NetworkError(f'The loss of step {runner.iter + 1} is {loss}, which is not finite: the training '
                               'diverges.', 'Lower the learning rate, lengthen the warm-up, or clip the gradient.')


def _runner(network: Detector | Segmenter, data: LabelledPictures, record: Mapping, training: TrainingPlan,
            work_dir: Path, seed: int, own_hooks: list[Hook], **options: Any) -> FusionRunner:
    loader = DataLoader(data, training.batch_size, sampler=EpochSampler(data, seed=seed), collate_fn=_batch,
                        num_workers=training.workers, persistent_workers=training.workers > 0)
    schedule = [dict(type='PolyLR', power=training.power, eta_min=0., begin=training.warmup, end=training.max_iters,
                     by_epoch=False)]
    if training.warmup:
        schedule.insert(0, dict(type='LinearLR', start_factor=1e-3, begin=0, end=training.warmup, by_epoch=False))
    optimizer = dict(type='OptimWrapper', optimizer={**training.optimizer, 'lr': training.lr},
                     clip_grad=None if training.clip is None else dict(max_norm=training.clip))
    hooks = dict(timer=dict(type='IterTimerHook'), param_scheduler=dict(type='ParamSchedulerHook'),
                 logger=dict(type='LoggerHook', interval=10, log_metric_by_epoch=False),
                 checkpoint=dict(type='SafeCheckpointHook', by_epoch=False, interval=training.save_every))
    return FusionRunner(
        _Training(network), str(work_dir), train_dataloader=loader, optim_wrapper=optimizer, param_scheduler=schedule,
        train_cfg=dict(type='ResumableTrainLoop', max_iters=training.max_iters), default_hooks=hooks,
        custom_hooks=own_hooks, resume=latest_checkpoint(work_dir) is not None,
        randomness=dict(seed=seed), default_scope='vlfusion', log_processor=dict(by_epoch=False),
        env_cfg=dict(mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl')),
        visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]), cfg=Config(dict(record)),
        **options)


def _registry(network: Mapping[str, Any]) -> Any:
    kind = network.get('type') if isinstance(network, Mapping) else None
    for registry in (DETECTORS, SEGMENTERS):
        if isinstance(kind, str) and kind in registry:
            return registry
    raise UnknownNameError(f'{kind!r} is neither a detector nor a segmenter.',
                           f'Write dict(type=...) of a detector, {", ".join(DETECTORS.names())}, or of a segmenter, '
                           f'{", ".join(SEGMENTERS.names())}.')


def _check_kind(network: Mapping[str, Any], labels: Labels) -> None:
    expected = 'boxes' if _registry(network) is DETECTORS else 'masks'
    if labels.kind != expected:
        raise ConfigError(f'{network["type"]} learns from {expected}, but the labels hold {labels.kind}.',
                          'Use a segmenter for masks, and a detector for boxes.')


def _claim(work_dir: Path, record: Mapping[str, Any]) -> None:
    """Note which training a folder belongs to; refuse one that holds weights of another."""
    path = work_dir / RECORD
    if (work_dir / NETWORK).is_file() or latest_checkpoint(work_dir):
        try:
            before = json.loads(path.read_text(encoding='utf-8'))
        except (OSError, ValueError) as error:
            raise ConfigError(f'{work_dir} holds weights, but its record cannot be read: {error}.',
                              'Choose another work_dir, or remove this one.') from error
        if changed := [key for key, value in json.loads(strict_json(record)).items() if before.get(key) != value]:
            changed = ' and '.join(_IN_WORDS.get(key, key) for key in changed)
            raise ConfigError(f'{work_dir} belongs to a training with another {changed}.',
                              'Choose another work_dir, or remove this one to train again.')
    write_json(path, record)


def _model_files(model: Any) -> list[Path]:
    """Return the files of a local model of transformers; none for the id of a hub model, or a config."""
    folder = Path(model).expanduser() if isinstance(model, str | os.PathLike) else None
    if folder is None or not (folder / 'config.json').is_file():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith('.'))


def _plain(value: Any) -> Any:
    """Return plain data with dicts and lists only, as JSON holds it."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
