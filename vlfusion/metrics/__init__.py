"""The metrics. Each is a function `(fused, source_a, source_b) -> (batch,)` on grey levels 0..255, one value per image."""

from vlfusion.metrics.ag import AG
from vlfusion.metrics.base import fusion_metric, metric, truth_metric, variant
from vlfusion.metrics.cc import CC
from vlfusion.metrics.ce import CE
from vlfusion.metrics.ei import EI
from vlfusion.metrics.en import EN
from vlfusion.metrics.mi import MI
from vlfusion.metrics.ms_ssim import MS_SSIM
from vlfusion.metrics.mse import MSE
from vlfusion.metrics.nabf import Labf, Nabf
from vlfusion.metrics.nmi import NMI
from vlfusion.metrics.piella import Qe, Qs, Qw
from vlfusion.metrics.psnr import PSNR
from vlfusion.metrics.qabf import Qabf
from vlfusion.metrics.qncie import Qncie
from vlfusion.metrics.qte import Qte
from vlfusion.metrics.rmse import RMSE
from vlfusion.metrics.scd import SCD
from vlfusion.metrics.sd import SD
from vlfusion.metrics.sf import SF
from vlfusion.metrics.ssim import SSIM
from vlfusion.metrics.vi import VI
from vlfusion.metrics.vif import VIF
from vlfusion.metrics.viff import VIFF
from vlfusion.metrics.yang import Qc, Qy

__all__ = ['AG', 'CC', 'CE', 'EI', 'EN', 'MI', 'MSE', 'MS_SSIM', 'NMI', 'PSNR', 'RMSE', 'SCD', 'SD', 'SF', 'SSIM', 'VI',
           'VIF', 'VIFF', 'Labf', 'Nabf', 'Qabf', 'Qc', 'Qe', 'Qncie', 'Qs', 'Qte', 'Qw', 'Qy', 'fusion_metric', 'metric',
           'truth_metric', 'variant']
