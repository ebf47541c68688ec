"""The network of Text-DiFuse (Zhang et al., NeurIPS 2024, Fig. 2): two halves of a U-Net, fusion control in between.

The diffusion model restores a degraded image: it denoises an image step by step, and the degraded one is its condition.
To fuse, the encoder runs once for each source, the fusion control module weighs the maps of both, and the decoder reads
the result. This independent implementation computes what the released network computes.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from vlfusion.errors import CheckpointError, ConfigError
from vlfusion.models.layers.strips import report
from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES
from vlfusion_textdifuse.control import FusionControl, plane_count
from vlfusion_textdifuse.diffusion import Diffusion, Image, Step, seeded_noise
from vlfusion_textdifuse.modulation import modulate
from vlfusion_textdifuse.unet import Decoder, Encoder, Maps

Sources = Sequence[Float[Tensor, 'batch 1 h w']]


@BACKBONES.register_module()
class TextDiFuse(nn.Module):
    """Text-DiFuse: a diffusion model that samples the fused image, and raises the objects in a mask.

    The words ("people, car") reach the network as a mask of the things that they name. Without a mask it fuses plainly.
    The noise is drawn from a seed, so the same pair gives the same result, alone or in a batch. The published sampler
    adds no noise between its steps.

    Cost of the released widths for each pixel and step: 23.8 million multiply-adds, of which the fusion control module
    takes 18.8. Memory: 24 kB for each pixel. With a mask, each image learns on a small copy (`side`), which takes
    130 kB for each of its own pixels. The README has times.

    Args:
        steps: number of denoising steps.
        first: source whose maps come first, `a` or `b`. The authors put visible before infrared images, so `b` for
            infrared-visible pairs; and MRI before the other modality, so `a` for medical pairs.
        seed: seed of the noise.
        side: shorter side in pixels of the small copy on which modulation learns; smaller images are enlarged.
        dim, widths, blocks, attention, heads: shape of the U-Net: channels of the first level, factors of the levels,
            blocks of a level, levels with attention, heads.
        groups: groups of the normalisations; must divide the channels and the planes of the fusion control module.

    Raises:
        ConfigError: `steps`, `first` or `groups` is not possible.
    """

    maps = ('mask',)

    def __init__(self, steps: int = 25, first: str = 'b', *, seed: int = 0, side: int = 256, dim: int = 128,
                 widths: Sequence[int] = (1, 1, 2, 3, 4), blocks: int = 2, attention: Sequence[int] = (3, 4),
                 heads: int = 4, groups: int = 32):
        super().__init__()
        if not 1 <= steps <= 1000:
            raise ConfigError(f'Expected 1 to 1000 steps, but got {steps}.', 'The authors use 25.')
        if first not in ('a', 'b'):
            raise ConfigError(f'Expected a source as `first`, but got {first!r}.', "Use 'a' or 'b'.")
        planes = plane_count(dim, widths, blocks)
        if any(channels % groups for channels in (planes, *(dim * width for width in widths))):
            raise ConfigError(f'{groups} groups do not divide the channels {[dim * width for width in widths]} and the '
                              f'{planes} planes of the fusion control module.', 'Choose other `groups` or `widths`.')
        shape = (dim, tuple(widths), blocks, tuple(attention), heads, groups)
        self.encoder, self.decoder, self.control = Encoder(*shape), Decoder(*shape), FusionControl(planes, groups)
        self.diffusion, self.first, self.seed, self.side = Diffusion(steps), first, seed, side
        self.multiple = 2 ** (len(widths) - 1)
        self.sampling_steps = steps

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None,
                mask: Float[Tensor, 'batch 1 h w'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two luminance images in [0, 1].

        Args:
            source_a, source_b: the sources.
            text, text_mask: unused; the words act through the mask.
            mask: above 0.5 inside the objects to raise. A pair with an empty mask is fused plainly, and so are all in
                training mode: the mask acts by an optimisation of its own.

        Returns:
            The fused luminance, in [0, 1].
        """
        sources = [self.enlarge(2 * source - 1) for source in (source_a, source_b)]
        if mask is None or self.training:
            fused = self.sample(sources)
        else:
            fused = torch.cat([self._raised([source[i:i + 1] for source in sources], self.enlarge(mask[i:i + 1]))
                               for i in range(len(mask))])
        height, width = source_a.shape[2:]
        return ((fused + 1) / 2).clamp(0, 1)[..., :height, :width]

    def restore(self, image: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 1 h w']:
        """Restore one degraded luminance image in [0, 1], without the fusion control module."""
        height, width = image.shape[2:]
        return ((self.sample([self.enlarge(2 * image - 1)]) + 1) / 2).clamp(0, 1)[..., :height, :width]

    def sample(self, sources: Sources, seed: int | None = None) -> Image:
        """Denoise seeded noise step by step, in the light of two sources to fuse or of one to restore.

        Args:
            sources: A and B, or one image, in [-1, 1], with sides that are multiples of `multiple`.
            seed: seed of the noise; by default that of the network.

        Returns:
            The fused or restored image in [-1, 1].
        """
        noisy = seeded_noise(sources[0], self.seed if seed is None else seed)
        for step in self.steps():
            noisy, _ = self.denoise(noisy, step, self.encode(noisy, step, sources))
        return noisy

    def steps(self, last: int = 0) -> Iterator[Step]:
        """Yield the steps of sampling, the noisiest first, to step `last`; and report progress after each."""
        for step in reversed(range(last, self.diffusion.steps)):
            yield torch.tensor([step], device='cpu')
            report()

    def encode(self, noisy: Image, step: Step, sources: Sources) -> list[list[Maps]]:
        """Compute the encoder's maps of a noisy image beside each source."""
        return [self.encoder(torch.cat((noisy, source), 1), self.diffusion.times[step]) for source in sources]

    def denoise(self, noisy: Image, step: Step, maps: Sequence[Sequence[Maps]],
                control: FusionControl | None = None) -> tuple[Image, Image]:
        """Take one step.

        Args:
            noisy: `x_t`.
            step: the step `t`.
            maps: results of `encode` for A and B, which are fused, or for one image, which is restored.
            control: module that fuses them; by default the network's own.

        Returns:
            The mean of `x_{t-1}`, and the estimate of the clean image, in [-1, 1].
        """
        if len(maps) == 2:
            fused = (control or self.control)(*(maps if self.first == 'a' else reversed(maps)))
        else:
            [fused] = maps
        noise = self.decoder(fused, self.diffusion.times[step])[:, :1].to(noisy)
        clean = self.diffusion.remove_noise(noisy, step, noise).clamp(-1, 1)
        return self.diffusion.mean(clean, noisy, step), clean

    def enlarge(self, image: Image) -> Float[Tensor, 'batch 1 height width']:
        """Repeat the last rows and columns until both sides are multiples of `multiple`."""
        height, width = image.shape[2:]
        return pad(image, (0, -width % self.multiple, 0, -height % self.multiple), mode='replicate')

    def _raised(self, sources: Sources, mask: Image) -> Image:
        inside = (mask > 0.5).to(mask)
        return modulate(self, sources, inside, side=self.side) if inside.any() else self.sample(sources)

    @staticmethod
    def convert_released(*states: dict) -> dict[str, Tensor]:
        """Rename the three released states to the names of this network.

        Args:
            states: contents of diffusion_stage1.pth, diffusion_stage2.pth and a file of the fusion control module, in
                any order.

        Raises:
            CheckpointError: a file is missing or twice, or names are missing or unknown.
        """
        parts = {}
        for state in states:
            part = next((part for part, name in _TELLTALE.items() if name in state), None)
            if part is None or part in parts:
                raise CheckpointError('A file is of another network, or given twice.', _REMEDY)
            parts[part] = {f'{part}.{name}': value for name, value in state.items()}
        return convert(TextDiFuse, {name: value for part in parts.values() for name, value in part.items()},
                       RELEASED_NAMES, remedy=_REMEDY, dropped=UNUSED)


#: From our names to the released ones, each behind the part that has a file of its own.
RELEASED_NAMES = [
    (r'^(encoder|decoder)\.embed\.', r'\1.time_embed.'),
    (r'^encoder\.blocks', 'encoder.input_blocks'), (r'^encoder\.middle', 'encoder.middle_block'),
    (r'^decoder\.blocks', 'decoder.output_blocks'),
    (r'^(encoder\.input_blocks\.\d+\.0)\.conv\.', r'\1.op.'),
    (r'norm_in', 'in_layers.0'), (r'conv_in', 'in_layers.2'), (r'scale_shift', 'emb_layers.1'),
    (r'norm_out', 'out_layers.0'), (r'conv_out', 'out_layers.3'), (r'\.skip\.', '.skip_connection.'),
    (r'project', 'proj_out'),
    (r'^control\.mix', 'control.inBlock'), (r'^control\.shared\.0', 'control.middleBlock1'),
    (r'^control\.shared\.1', 'control.CBMA1'),
    # The released `w_v`, from the blocks 2, 2 and 1, weighs the maps that come second.
    (r'^control\.weight_b\.0', 'control.middleBlock2'), (r'^control\.weight_b\.1', 'control.CBMA2'),
    (r'^control\.weight_b\.2', 'control.outBlock1'),
    (r'^control\.weight_a\.0', 'control.middleBlock3'), (r'^control\.weight_a\.1', 'control.CBMA3'),
    (r'^control\.weight_a\.2', 'control.outBlock2'),
    (r'(CBMA\d)\.0\.weigh', r'\1.channel_attention.shared_MLP'),
    (r'(CBMA\d)\.1\.weigh', r'\1.spatial_attention.conv2d'),
]
#: Released parameters that no output depends on: the branch of the third weight, which the released code computes only.
UNUSED = r'^control\.(middleBlock4|CBMA4|outBlock3)\.'
_TELLTALE = {'encoder': 'input_blocks.0.0.weight', 'decoder': 'out.2.weight', 'control': 'inBlock.weight'}
_REMEDY = 'Give diffusion_stage1.pth, diffusion_stage2.pth and FCM-VIS-IR.pt or FCM-Medi.pt, unchanged.'
