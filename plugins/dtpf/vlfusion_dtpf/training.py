"""Training of DTPF (Zhang et al., IEEE TCSVT 2025) in two phases, each with a config of its own.

First the teacher learns to fuse under a text; its losses are weighed by the events that the text names. Then the
student, which reads no text, learns the same losses, the teacher's pictures and the features of its decoder.

    model = dict(type='vlfusion_dtpf.DTPFTeacherModel', backbone=dict(type='vlfusion_dtpf.DTPF', text_dim=512),
                 losses=[...], event_weights=dict(low_light=dict(max_intensity=48.0, consistency=20.0)))
    model = dict(type='vlfusion_dtpf.DTPFStudentModel', backbone=dict(type='vlfusion_dtpf.DTPF', dim=16),
                 losses=[...], teacher='work_dirs/dtpf_teacher_ivf/iter_128500.pth')
"""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.console.notes import note
from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.models import FusionModel
from vlfusion.registry import MODELS
from vlfusion_dtpf.events import parse_events
from vlfusion_dtpf.losses import feature_distance
from vlfusion_dtpf.model import DTPF

#: Pairs in a row without a known event, after which training warns.
UNKNOWN = 100


@MODELS.register_module()
class DTPFTeacherModel(FusionModel):
    """A `FusionModel` whose losses are weighed by the events that the words of each pair name.

    A pair with several events gets the mean of their weights. An event without weights of its own, and a pair without
    an event, get those of `losses`. The loss is the sum over the pairs of a batch, as released, not their mean.

    Args:
        event_weights: for some events, such as `low_light`, weights that replace those of some terms, by the name of
            the term in the log: `{'low_light': {'max_intensity': 48.0}}`.
        options: arguments of `FusionModel`.

    Raises:
        ConfigError: a term in `event_weights` is not among the losses.
    """

    def __init__(self, event_weights: Mapping[str, Mapping[str, float]] | None = None, **options):
        super().__init__(**options)
        self.event_weights = event_weights or {}
        self._unknown = 0
        for weights in self.event_weights.values():
            for term in weights:
                if self.losses and term not in self.losses:
                    raise ConfigError(f'event_weights names the term {term!r}, which is not among the losses.',
                                      did_you_mean(term, self.losses))

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                words: Sequence[str] = (), mode: str = 'tensor',
                **sample) -> Float[Tensor, 'batch 1 h w'] | dict[str, Tensor] | list[dict]:
        """Run `FusionModel.forward`, with weights by event in the mode `loss`.

        Args:
            source_a, source_b: luminance in [0, 1].
            words: the words of each pair, in the form of `vlfusion_dtpf.events`.
            mode: mode of `FusionModel.forward`.
            sample: further arguments of `FusionModel.forward`.

        Raises:
            DataError: the mode is `loss`, and the pairs come without words.
        """
        if mode != 'loss' or not self.losses:
            return super().forward(source_a, source_b, mode=mode, **sample)
        if len(words) != len(source_a):
            raise DataError('DTPFTeacherModel needs the words of every pair, but the samples lack them.',
                            'Set words=True in train_dataloader.dataset, beside text_source.')
        fused = super().forward(source_a, source_b, mode='tensor', **sample)
        places = defaultdict(list)
        for place, text in enumerate(words):
            places[tuple(name if name in self.event_weights else '' for name in parse_events(text))
                   or ('',)].append(place)
        self._warn(any(name for names in places for name in names), len(words))
        total, logged = 0., defaultdict(float)
        for names, rows in places.items():
            # An index of several rows would be copied to the device.
            images = (torch.stack([batch[row] for row in rows]) for batch in (fused, source_a, source_b))
            for key, value in self.terms(*images).items():
                weights = [self.event_weights.get(name, {}).get(key, self.losses[key].weight) for name in names]
                total = total + len(rows) * sum(weights) / len(weights) * value
                logged[key] += len(rows) / len(words) * value.detach()
        return dict(loss=total, **logged)

    def _warn(self, known: bool, pairs: int) -> None:
        """Warn if no event of many pairs in a row has weights of its own: the prompt or the names do not fit."""
        self._unknown = 0 if known else self._unknown + pairs
        if self.event_weights and self._unknown >= UNKNOWN:
            note('events without weights',
                 f'The words of {self._unknown} pairs in a row name no event of event_weights '
                 f'({", ".join(self.event_weights)}), so all have the weights of `losses`. Describe the images with a '
                 'prompt that asks for these events.')


@MODELS.register_module()
class DTPFStudentModel(FusionModel):
    """A `FusionModel` that also learns the output and the features of a frozen teacher.

    `L = sum of weighted losses + w_f (sum over 4 scales of smooth L1 of features) + w_r (smooth L1 of fused images)`.
    Features of the teacher pass 1x1 convolutions with random weights, which do not learn, as in the released code. The
    teacher reads the text of each pair; the student reads none, and neither needs the other after training.

    Args:
        teacher: checkpoint of a DTPF with text, needed in training alone.
        feature_weight: weight `w_f`.
        result_weight: weight `w_r`.
        seed: seed of the 1x1 convolutions.
        options: arguments of `FusionModel`.
    """

    training_only = ('teacher',)

    def __init__(self, teacher: str | os.PathLike | None = None, *, feature_weight: float = 0.1,
                 result_weight: float = 1.0, seed: int = 0, **options):
        super().__init__(**options)
        self.teacher, self.seed = teacher, seed
        self.feature_weight, self.result_weight = feature_weight, result_weight
        self._frozen: tuple[DTPF, nn.ModuleList] | None = None  # a tuple, so that no checkpoint holds them

    def init_weights(self) -> None:
        """Load the teacher too; the runner calls this once before training.

        Raises:
            ConfigError: no teacher is given, or it is another network.
            CheckpointError: it cannot be loaded.
        """
        super().init_weights()
        self.frozen(torch.device('cpu'))

    def frozen(self, device: torch.device) -> tuple[DTPF, nn.ModuleList]:
        """Return the teacher and the 1x1 convolutions; errors as for `init_weights`."""
        if self._frozen is None:
            from vlfusion.engine.checkpoints import load_model
            if self.teacher is None:
                raise ConfigError('DTPFStudentModel has no teacher to learn from.',
                                  'Train one, and set model.teacher to its checkpoint.')
            teacher = load_model(self.teacher)[0].backbone
            if not isinstance(teacher, DTPF):
                raise ConfigError(f'{self.teacher} holds a {type(teacher).__name__}, not a DTPF.',
                                  'Set model.teacher to a checkpoint of a teacher.')
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                adapters = nn.ModuleList(nn.Conv2d(wide, narrow, 1) for wide, narrow in zip(
                    teacher.feature_widths, self.backbone.feature_widths, strict=True))
            self._frozen = teacher.requires_grad_(False), adapters.requires_grad_(False)
        self._frozen = tuple(part.to(device) for part in self._frozen)
        return self._frozen

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None, mode: str = 'tensor',
                **sample) -> Float[Tensor, 'batch 1 h w'] | dict[str, Tensor] | list[dict]:
        """Run `FusionModel.forward`, with the teacher in the mode `loss`.

        Args:
            source_a, source_b: luminance in [0, 1].
            text, text_mask: token features of each pair, which the teacher reads.
            mode: mode of `FusionModel.forward`. `loss` also logs `feature` and `result`, the terms of the teacher.
            sample: further arguments of `FusionModel.forward`.
        """
        if mode != 'loss' or not self.losses:
            return super().forward(source_a, source_b, mode=mode, **sample)
        teacher, adapters = self.frozen(source_a.device)
        with torch.no_grad():
            taught, taught_features = teacher.fuse_with_features(source_a, source_b, text, text_mask)
        fused, features = self.backbone.fuse_with_features(source_a, source_b)
        terms = self.terms(fused, source_a, source_b)
        total = sum(self.losses[key].weight * value for key, value in terms.items())
        with torch.autocast(fused.device.type, enabled=False):
            terms['result'] = F.smooth_l1_loss(fused.to(source_a), taught.to(source_a))
            terms['feature'] = feature_distance([x.to(source_a) for x in features],
                                                [x.to(source_a) for x in taught_features], adapters)
        total = total + self.result_weight * terms['result'] + self.feature_weight * terms['feature']
        return dict(loss=total, **{key: value.detach() for key, value in terms.items()})
