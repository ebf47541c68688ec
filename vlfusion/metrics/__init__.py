"""The fusion metrics. Each is a function `(fused, source_a, source_b) -> (batch,)` on grey levels 0..255."""

from vlfusion.metrics.ag import AG
from vlfusion.metrics.en import EN
from vlfusion.metrics.qabf import Qabf
from vlfusion.metrics.sd import SD
from vlfusion.metrics.sf import SF
from vlfusion.metrics.vif import VIF

__all__ = ['AG', 'EN', 'SD', 'SF', 'VIF', 'Qabf']
