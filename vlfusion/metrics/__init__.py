"""The metrics: functions `(fused, source_a, source_b) -> (batch,)` on grey levels 0..255, one value per image.

`score` takes images instead: files, arrays, PIL images or tensors.
"""

from vlfusion.metrics.ag import AG
from vlfusion.metrics.base import fusion_metric, metric, truth_metric, variant
from vlfusion.metrics.cc import CC
from vlfusion.metrics.ce import CE
from vlfusion.metrics.detail import Detail
from vlfusion.metrics.ei import EI
from vlfusion.metrics.en import EN
from vlfusion.metrics.flicker import Flicker
from vlfusion.metrics.fmi import FMI_dct, FMI_edge, FMI_gradient, FMI_pixel, FMI_wavelet
from vlfusion.metrics.lead import LeadA, TextureLeadA
from vlfusion.metrics.level import Level
from vlfusion.metrics.locality import Locality
from vlfusion.metrics.lpips import LPIPS
from vlfusion.metrics.mef_ssim import MEF_MS_SSIM, MEF_SSIM
from vlfusion.metrics.mi import MI
from vlfusion.metrics.ms_ssim import MS_SSIM
from vlfusion.metrics.mse import MSE
from vlfusion.metrics.nabf import Labf, Nabf
from vlfusion.metrics.nmi import NMI
from vlfusion.metrics.piella import Qe, Qs, Qw
from vlfusion.metrics.psnr import PSNR
from vlfusion.metrics.qabf import Qabf
from vlfusion.metrics.qcb import Qcb
from vlfusion.metrics.qcv import Qcv
from vlfusion.metrics.qm import Qm
from vlfusion.metrics.qncie import Qncie
from vlfusion.metrics.qp import Qp
from vlfusion.metrics.qsf import Qsf
from vlfusion.metrics.qte import Qte
from vlfusion.metrics.rmse import RMSE
from vlfusion.metrics.scd import SCD
from vlfusion.metrics.scoring import score, score_stack
from vlfusion.metrics.sd import SD
from vlfusion.metrics.sf import SF
from vlfusion.metrics.ssim import SSIM
from vlfusion.metrics.text_aware import text_aware_qabf, text_aware_ssim, text_aware_vif
from vlfusion.metrics.vi import VI
from vlfusion.metrics.vif import VIF
from vlfusion.metrics.viff import VIFF
from vlfusion.metrics.yang import Qc, Qy

__all__ = ['AG', 'CC', 'CE', 'EI', 'EN', 'FMI_dct', 'FMI_edge', 'FMI_gradient', 'FMI_pixel', 'FMI_wavelet', 'LPIPS',
           'MEF_MS_SSIM', 'MEF_SSIM', 'MI', 'MSE', 'MS_SSIM', 'NMI', 'PSNR', 'RMSE', 'SCD', 'SD', 'SF', 'SSIM', 'VI',
           'VIF', 'VIFF', 'Detail', 'Flicker', 'Labf', 'LeadA', 'Level', 'Locality', 'Nabf', 'Qabf', 'Qc', 'Qcb', 'Qcv',
           'Qe', 'Qm', 'Qncie', 'Qp', 'Qs', 'Qsf', 'Qte', 'Qw', 'Qy', 'TextureLeadA', 'fusion_metric', 'metric',
           'score', 'score_stack', 'text_aware_qabf', 'text_aware_ssim', 'text_aware_vif', 'truth_metric', 'variant']
