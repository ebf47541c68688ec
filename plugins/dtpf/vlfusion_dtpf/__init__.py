"""DTPF (Zhang et al., IEEE TCSVT 2025): a teacher reads events of a text, and a student without text learns from it."""

from vlfusion_dtpf.events import EventTextEncoder, parse_events
from vlfusion_dtpf.losses import ConsistencyLoss
from vlfusion_dtpf.model import DTPF
from vlfusion_dtpf.training import DTPFStudentModel, DTPFTeacherModel

__all__ = ['DTPF', 'ConsistencyLoss', 'DTPFStudentModel', 'DTPFTeacherModel', 'EventTextEncoder', 'parse_events']
