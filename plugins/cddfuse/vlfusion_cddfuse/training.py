"""Training of CDDFuse (Zhao et al., CVPR 2023, Fig. 2a and 2c): two phases, each module with its own optimizer.

Phase I trains encoder and decoder to decompose the sources and to reconstruct them. Phase II adds the fusion layers
and trains all four modules to fuse.

    model = dict(type='vlfusion_cddfuse.CDDFuseModel', backbone=dict(type='vlfusion_cddfuse.CDDFuse'),
                 losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=10.0)])
    custom_hooks = [dict(type='vlfusion_cddfuse.PhaseHook', switch=40 * steps_of_an_epoch)]
    optim_wrapper = dict(constructor='vlfusion_cddfuse.PerModuleOptimizers', optimizer=dict(type='Adam', lr=1e-4),
                         clip_grad=dict(max_norm=0.01))
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy

import torch
from jaxtyping import Float
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

from vlfusion.errors import ConfigError
from vlfusion.models import FusionModel
from vlfusion.registry import HOOKS, MODELS, OPTIM_WRAPPERS, REGISTRIES
from vlfusion_cddfuse.losses import decomposition_loss, gradient_loss, reconstruction_loss

#: Terms that only phase I computes and logs.
PHASE_ONE_TERMS = ('reconstruction_a', 'reconstruction_b', 'gradient')


@MODELS.register_module()
class CDDFuseModel(FusionModel):
    """A FusionModel that trains CDDFuse in two phases.

    Phase I minimises `R(A) + R(B) + w_g G + w_d D`. Phase II minimises the weighted `losses` on the fused image plus
    `w_d D`. R is the reconstruction, G the gradient and D the decomposition loss of `vlfusion_cddfuse.losses`.

    Args:
        backbone, losses: as in `FusionModel`.
        decomposition_weight: weight `w_d`, alpha_2 and alpha_4 of the paper.
        gradient_weight: weight `w_g`.
        detailed: source whose reconstruction enters G: `b` for visible images, `a` for MRI in medical pairs.
        data_preprocessor, init_cfg: as in `FusionModel`.

    Attributes:
        phase: 1 or 2, set by `PhaseHook`; None before.
    """

    def __init__(self, backbone: dict, losses: Sequence[dict] = (), *, decomposition_weight: float = 2.0,
                 gradient_weight: float = 5.0, detailed: str = 'b', data_preprocessor: dict | None = None,
                 init_cfg: dict | list | None = None):
        super().__init__(backbone, losses, data_preprocessor, init_cfg)
        if detailed not in ('a', 'b'):
            raise ConfigError(f'Expected a source as `detailed`, but got {detailed!r}.', "Use 'a' or 'b'.")
        self.decomposition_weight, self.gradient_weight = decomposition_weight, gradient_weight
        self.detailed = detailed
        self.phase: int | None = None

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                *text, mode: str = 'tensor', **sample) -> Float[Tensor, 'batch 1 h w'] | dict[str, Tensor] | list[dict]:
        """Run `FusionModel.forward`, but return the total and the terms of the current phase in the mode `loss`.

        Raises:
            ConfigError: the mode is `loss`, and the phase is not set or phase II has no losses.
        """
        if mode != 'loss':
            return super().forward(source_a, source_b, *text, mode=mode, **sample)
        if self.phase is None:
            raise ConfigError('CDDFuseModel cannot be trained, because its phase is not set.',
                              "Add dict(type='vlfusion_cddfuse.PhaseHook', switch=...) to custom_hooks.")
        if self.phase == 2 and not self.losses:
            raise ConfigError('CDDFuseModel has no loss for its second phase.',
                              "Give model.losses, such as [dict(type='MaxIntensityLoss', weight=1.0)].")
        backbone, sources = self.backbone, (source_a, source_b)
        features = [backbone.encoder(source) for source in sources]
        if self.phase == 1:
            images = [backbone.reconstruct(*pair) for pair in zip(sources, features, strict=True)]
        else:
            images = [backbone.fuse(*sources, *features)]
        with torch.autocast(source_a.device.type, enabled=False):  # differences of nearly equal images need float32
            images = [image.to(source_a) for image in images]
            total, terms = (self._reconstruction if self.phase == 1 else self._fusion)(*images, *sources)
            terms['decomposition'] = decomposition_loss(*(x.to(source_a) for both in features for x in both))
        total = total + self.decomposition_weight * terms['decomposition']
        # MMEngine sums the values whose key contains `loss`, and only logs the others.
        return dict(loss=total, **{key: value.detach() for key, value in terms.items()},
                    phase=total.new_full((), self.phase))

    def _reconstruction(self, restored_a: Tensor, restored_b: Tensor, source_a: Tensor,
                        source_b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        detailed = (restored_b, source_b) if self.detailed == 'b' else (restored_a, source_a)
        terms = dict(reconstruction_a=reconstruction_loss(restored_a, source_a),
                     reconstruction_b=reconstruction_loss(restored_b, source_b), gradient=gradient_loss(*detailed))
        total = terms['reconstruction_a'] + terms['reconstruction_b'] + self.gradient_weight * terms['gradient']
        return total, terms

    def _fusion(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        terms = self.terms(fused, source_a, source_b)
        return sum(self.losses[key].weight * value for key, value in terms.items()), terms


@HOOKS.register_module()
class PhaseHook(Hook):
    """Set the phase of a `CDDFuseModel` at each iteration, and log each change.

    Args:
        switch: first iteration of phase II; 0 trains in phase II only, as for fine-tuning.
    """

    def __init__(self, switch: int):
        self.switch = switch

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict | None = None) -> None:
        model = getattr(runner.model, 'module', runner.model)
        phase = 1 if runner.iter < self.switch else 2
        if phase != model.phase:
            runner.logger.info(f'CDDFuse: phase {"I" * phase} from iteration {runner.iter} on; phase II begins at '
                               f'{self.switch}.')
            model.phase = phase
            for term in PHASE_ONE_TERMS if phase == 2 else ():  # their last values would be logged forever
                runner.message_hub.log_scalars.pop(f'train/{term}', None)


class JointOptimWrapper(OptimWrapperDict):
    """Several optimizers that share one loss: one backward pass, then each clips and steps on its own.

    If the loss does not depend on a module, its optimizer changes neither the module nor its own state.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with next(iter(self.values())).optim_context(model):  # all are of one type
            yield

    def update_params(self, loss: Float[Tensor, ''], step_kwargs: dict | None = None,
                      zero_kwargs: dict | None = None) -> None:
        loss.backward()
        for wrapper in self.values():
            wrapper.step(**(step_kwargs or {}))
        self.zero_grad(**(zero_kwargs or {}))


@REGISTRIES['optimizer wrapper constructor'].register_module()
class PerModuleOptimizers:
    """Build a `JointOptimWrapper` with one optimizer for each module of the backbone, under the name of the module.

    Args:
        optim_wrapper_cfg: config of each optimizer wrapper, such as `dict(optimizer=dict(type='Adam', lr=1e-4))`.
        paramwise_cfg: must be empty; MMEngine passes it.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        if paramwise_cfg:
            raise ConfigError('PerModuleOptimizers does not support paramwise_cfg.', 'Remove it from optim_wrapper.')
        self.config = dict(type='OptimWrapper') | dict(optim_wrapper_cfg)
        if self.config.get('accumulative_counts', 1) != 1 or self.config['type'] == 'AmpOptimWrapper':
            raise ConfigError('PerModuleOptimizers neither accumulates gradients nor scales losses.',
                              'Remove accumulative_counts; for mixed precision use BFloat16OptimWrapper.')

    def __call__(self, model: nn.Module) -> JointOptimWrapper:
        backbone = getattr(model, 'module', model).backbone
        return JointOptimWrapper(**{name: self._build(name, module) for name, module in backbone.named_children()})

    def _build(self, name: str, module: nn.Module) -> OptimWrapper:
        config = deepcopy(self.config)
        config['optimizer'] = REGISTRIES['optimizer'].build(
            dict(config['optimizer']) | dict(params=list(module.parameters())))
        wrapper = OPTIM_WRAPPERS.build(config)
        wrapper.grad_name = f'{name}.grad_norm'  # otherwise all would be logged under one name
        return wrapper
