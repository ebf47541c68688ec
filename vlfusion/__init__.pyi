# Public functions and rooms of vlfusion. Type checkers read this, and `vlfusion/__init__.py`, which loads each at its
# first use.
from . import analysis as analysis
from . import benchmark as benchmark
from . import data as data
from . import engine as engine
from . import evaluation as evaluation
from . import imaging as imaging
from . import inference as inference
from . import language as language
from . import losses as losses
from . import metrics as metrics
from . import models as models
from . import testing as testing
from . import zoo as zoo
from .analysis.contact_sheet import contact_sheet as contact_sheet
from .analysis.drawn_texts import reach_of_text as reach_of_text
from .analysis.leaderboard import leaderboard as leaderboard
from .analysis.obedience_run import measure_obedience as measure_obedience
from .analysis.text_variants import ablate_text as ablate_text
from .benchmark.comparison import run_plan as run_plan
from .benchmark.plan import load_plan as load_plan
from .config import load_config as load_config
from .data.describing import describe as describe
from .data.describing import describe_folder as describe_folder
from .data.own_folders import use_folders as use_folders
from .data.own_texts import use_texts as use_texts
from .data.pairs import find_pairs as find_pairs
from .data.words import use_words as use_words
from .engine.checkpoints import load_model as load_model
from .engine.model_configs import config_of as config_of
from .engine.publish import publish as publish
from .engine.stages import test as test
from .engine.stages import train as train
from .evaluation.folder import score_folder as score_folder
from .imaging.images import read_image as read_image
from .imaging.images import write_image as write_image
from .inference.export import export_model as export_model
from .inference.folders import fuse as fuse
from .inference.fuser import Fuser as Fuser
from .inference.stack_files import fuse_stacks as fuse_stacks
from .inference.volumes import fuse_volumes as fuse_volumes
from .metrics.scoring import score as score
from .volumes.reading import read_volume as read_volume
from .zoo.set_check import check_set as check_set
from .zoo.sets import fetch_set as fetch_set

__version__: str
