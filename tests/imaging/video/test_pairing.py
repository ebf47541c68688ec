"""Pairing by times: rates, gaps, offsets, ends."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.video.frame import Frame
from vlfusion.imaging.video.pairing import Pairing

IMAGE = np.zeros((2, 2), np.uint8)


@dataclass
class Times:
    """Frames at given times in milliseconds; without a rate, they have no times."""

    times: list[float]
    rate: Fraction | None
    name: str = 'x.mp4'
    time_base: Fraction = Fraction(1, 1000)
    aspect: Fraction | None = None

    @property
    def count(self):
        return len(self.times)

    def read(self):
        for number, time in enumerate(self.times, 1):
            yield Frame(number, self.rate and Fraction(time) / 1000, IMAGE)


def regular(rate, count):
    return Times([Fraction(1000 * n, rate) for n in range(count)], Fraction(rate))


def paired(a, b, offset=Fraction(0)):
    pairing = Pairing(a, b, offset)
    numbers = [(frame_a.number, frame_b.number) for frame_a, frame_b in pairing.pairs()]
    return pairing, numbers


def test_the_slower_sequence_finds_its_nearest_frames():
    pairing, numbers = paired(regular(25, 5), regular(30, 6))
    assert numbers == [(1, 1), (2, 2), (3, 3), (4, 5), (5, 6)]
    assert pairing.unpaired_b == [4] and not pairing.unpaired_a and pairing.slower is pairing.frames_a
    pairing, numbers = paired(regular(50, 10), regular(10, 2))
    assert numbers == [(1, 1), (6, 2)] and pairing.slower is pairing.frames_b


def test_a_gap_leaves_frames_without_a_partner():
    pairing, numbers = paired(regular(25, 6), Times([0, 40, 160, 200], Fraction(25)))
    assert numbers == [(1, 1), (2, 2), (5, 3), (6, 4)] and pairing.unpaired_a == [3, 4]


def test_jitter_below_half_a_frame_pairs_all():
    jitter = [n * 40 + delta for n, delta in enumerate([0, 15, -12, 19, -19, 5])]
    assert paired(regular(25, 6), Times(jitter, Fraction(25)))[1] == [(n, n) for n in range(1, 7)]


def test_each_frame_has_one_partner():
    _, numbers = paired(Times([0, 38, 80], Fraction(25)), Times([20, 79], Fraction(25)))
    assert numbers == [(2, 1), (3, 2)]


def test_an_offset_and_different_ends():
    pairing, numbers = paired(regular(25, 10), regular(25, 4), Fraction('0.2'))
    assert numbers == [(6, 1), (7, 2), (8, 3), (9, 4)] and pairing.unpaired_a == [1, 2, 3, 4, 5, 10]
    pairing, numbers = paired(regular(25, 3), regular(25, 8), Fraction('-0.2'))
    assert numbers == [(1, 6), (2, 7), (3, 8)] and pairing.unpaired_b == [1, 2, 3, 4, 5]


def test_a_sequence_without_times_pairs_by_number():
    pairing, numbers = paired(Times([0] * 3, None), Times([0, 40, 300, 340], Fraction(25)))
    assert numbers == [(1, 1), (2, 2), (3, 3)] and pairing.unpaired_b == [4] and pairing.slower is pairing.frames_b
    with pytest.raises(ConfigError, match='an offset has no effect'):
        Pairing(Times([0] * 3, None), regular(25, 3), Fraction(1))


def test_nothing_pairs():
    with pytest.raises(DataError, match='No frame'):
        paired(regular(25, 3), regular(25, 3), Fraction(9))


@pytest.mark.parametrize('seed', range(20))
def test_pairs_are_mutually_nearest_and_none_is_missed(seed):
    rng = np.random.default_rng(seed)
    a, b = (Times(sorted(set(rng.integers(0, 2000, 40).tolist())), Fraction(20)) for _ in 'ab')
    pairing, numbers = paired(a, b)

    def nearest(times, time):
        return min(range(len(times)), key=lambda n: abs(times[n] - time))
    expected = {(n, nearest(b.times, time)) for n, time in enumerate(a.times)}
    strict = {(i, j) for i, j in expected if abs(a.times[i] - b.times[j]) <= 25
              and all(abs(a.times[i] - b.times[j]) < abs(other - b.times[j])
                      for k, other in enumerate(a.times) if k != i)
              and all(abs(a.times[i] - b.times[j]) < abs(other - a.times[i])
                      for k, other in enumerate(b.times) if k != j)}
    assert strict <= {(i - 1, j - 1) for i, j in numbers}
    assert sorted([i for i, _ in numbers] + pairing.unpaired_a) == list(range(1, len(a.times) + 1))
    assert sorted([j for _, j in numbers] + pairing.unpaired_b) == list(range(1, len(b.times) + 1))
