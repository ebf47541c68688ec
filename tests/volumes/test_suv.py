"""Standardised uptake values of PET, and the reasons that there are none."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from volumetric import grid, write_series

from vlfusion.volumes.reading import read_volume
from vlfusion.volumes.suv import earliest, suv_factor

HALF_LIFE = 6586.2  # seconds, of fluorine-18


def tracer(**changes):
    """A dose of 370 MBq at eight."""
    return [dataset({'RadionuclideTotalDose': 370e6, 'RadionuclideHalfLife': HALF_LIFE,
                     'RadiopharmaceuticalStartTime': '080000.00', **changes})]


def dataset(elements):
    data = Dataset()
    for element, value in elements.items():
        setattr(data, element, value)
    return data


def header(**changes):
    """The header of a patient of 70 kg, scanned an hour after the injection."""
    return {'Units': 'BQML', 'CorrectedImage': 'DECY\\ATTN\\SCAT', 'DecayCorrection': 'START',
            'PatientWeight': 70, 'SeriesDate': '20240102', 'SeriesTime': '090000.000',
            'RadiopharmaceuticalInformationSequence': tracer(), **changes}


def test_the_dose_decays_until_the_scan():
    factor, reason = suv_factor(dataset(header()))
    assert factor == pytest.approx(70e3 / (370e6 * 0.5 ** (3600 / HALF_LIFE))) and reason == ''


@pytest.mark.parametrize(('changes', 'seconds'), [
    (dict(DecayCorrection='ADMIN'), 0),
    (dict(SeriesTime='100000', AcquisitionTime='090000'), 3600),  # a series that was made later from the scan
    (dict(SeriesTime='001500', RadiopharmaceuticalInformationSequence=tracer(
        RadiopharmaceuticalStartTime='234500')), 1800),  # over midnight
    (dict(RadiopharmaceuticalInformationSequence=tracer(
        RadiopharmaceuticalStartDateTime='20240102083000.00+0100')), 1800)])
def test_times(changes, seconds):
    factor, reason = suv_factor(dataset(header(**changes)))
    assert factor == pytest.approx(70e3 / (370e6 * 0.5 ** (seconds / HALF_LIFE))) and reason == ''


def test_values_that_are_suv_already():
    assert suv_factor(dataset({'Units': 'GML', 'CorrectedImage': ['ATTN', 'DECY']})) == (1, '')


@pytest.mark.parametrize(('changes', 'reason'), [
    (dict(Units='CNTS'), 'units are CNTS'), (dict(PatientWeight=None), 'lacks the weight'),
    (dict(PatientWeight=0), 'lacks the weight'),
    (dict(RadiopharmaceuticalInformationSequence=[]), 'lacks the injected dose and the half-life'),
    (dict(DecayCorrection='NONE'), 'decay correction is NONE'), (dict(SeriesTime=''), 'lacks the time'),
    (dict(CorrectedImage='DECY'), 'no correction ATTN'), (dict(CorrectedImage=None), 'no correction ATTN and DECY'),
    *((dict(RadiopharmaceuticalInformationSequence=tracer(RadiopharmaceuticalStartDateTime=time)),
       'not in the 12 hours after') for time in ('20231201080000', '20240102093000'))])
def test_reasons(changes, reason):
    factor, found = suv_factor(dataset(header(**changes)))
    assert factor == 1 and reason in found


def test_the_earliest_slice_says_when_the_scan_began():
    times = ('', '091500', '090500.5', '235900')
    slices = [dataset(header(AcquisitionTime=time)) for time in times]
    assert earliest(slices) is slices[2] and earliest(slices[:1]) is slices[0]
    slices[3].AcquisitionDate = '20240101'
    assert earliest(slices) is slices[3]


def test_a_series_in_suv(tmp_path):
    values, affine = np.random.default_rng(0).integers(0, 9000, (6, 5, 4)), grid((6, 5, 4), (2, 2, 3))
    volume = read_volume(write_series(tmp_path / 'pet', values, affine, 'PT', **header()))
    np.testing.assert_allclose(volume.values, values * suv_factor(dataset(header()))[0], rtol=1e-6)
    assert volume.unit == 'SUVbw' and volume.remark == ''
    volume = read_volume(write_series(tmp_path / 'counts', values, affine, 'PT', **header(Units='CNTS')))
    np.testing.assert_array_equal(volume.values, values)
    assert volume.unit == '' and volume.remark == 'its values are not SUV: its units are CNTS, not BQML'
