"""Instructions: words that say how a fused picture should look, each with numbers that a loss can compute with."""

from vlfusion.language.instructions.ask import REGIONS, Ask, Instruction
from vlfusion.language.instructions.vocabulary import Vocabulary

__all__ = ['REGIONS', 'Ask', 'Instruction', 'Vocabulary']
