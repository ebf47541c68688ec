"""Standardised uptake values of PET: the activity in tissue over the injected activity per gram of body.

    SUVbw = activity in Bq/ml * weight in g / injected dose in Bq, decayed to the time of the scan

Source: the vendor-neutral pseudo-code of QIBA's FDG-PET technical committee (RSNA), "Standardized Uptake Value (SUV)
computation", for units BQML.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

#: Unit of values that were converted.
SUV = 'SUVbw'
#: Longest time from the injection to the scan, in seconds.
_LONGEST = 12 * 3600
#: Corrections without which values are no activity: for attenuation and for decay.
_CORRECTIONS = {'ATTN', 'DECY'}


def suv_factor(header: Any) -> tuple[float, str]:
    """Return the factor from stored values to SUV by body weight, and the reason if there is none.

    Args:
        header: `pydicom.Dataset` of the slice of a PET series that was scanned first, see `earliest`.

    Returns:
        The factor and an empty string; or 1 and the reason that the header allows no SUV.
    """
    stated = header.get('CorrectedImage') or []
    if lacking := sorted(_CORRECTIONS - ({stated} if isinstance(stated, str) else set(stated))):
        return 1., f'its header states no correction {" and ".join(lacking)}'
    units = str(header.get('Units', ''))
    if units == 'GML' and str(header.get('SUVType') or 'BW') == 'BW':
        return 1., ''
    if units != 'BQML':
        return 1., f'its units are {units or "not stated"}, not BQML'
    tracers = header.get('RadiopharmaceuticalInformationSequence') or []
    try:
        weight = float(header.get('PatientWeight') or 0)
        dose = float(tracers[0].get('RadionuclideTotalDose') or 0) if tracers else 0.
        half_life = float(tracers[0].get('RadionuclideHalfLife') or 0) if tracers else 0.
    except (TypeError, ValueError):
        return 1., 'its weight, dose or half-life is not a number'
    lacking = [name for name, value in (('weight', weight), ('injected dose', dose), ('half-life', half_life))
               if not value > 0]
    if lacking:
        return 1., f'its header lacks the {" and the ".join(lacking)}'
    correction = str(header.get('DecayCorrection', ''))
    if correction == 'ADMIN':  # values are as of the injection
        return weight * 1000 / dose, ''
    if correction != 'START':
        return 1., f'its decay correction is {correction or "not stated"}, not START or ADMIN'
    injected, scanned = _injection(header, tracers[0]), _scan(header)
    if not (injected and scanned):
        return 1., 'its header lacks the time of the injection or of the scan'
    dated = bool(tracers[0].get('RadiopharmaceuticalStartDateTime'))
    if scanned < injected and not dated:  # a time of day, and a scan after midnight
        scanned += timedelta(days=1)
    seconds = (scanned - injected).total_seconds()
    if not 0 <= seconds < _LONGEST:
        return 1., 'its scan is not in the 12 hours after the injection'
    return weight * 1000 / (dose * 2 ** (-seconds / half_life)), ''


def earliest(headers: Sequence[Any]) -> Any:
    """Return the header of the slice that was scanned first; slices without a time come last."""
    return min(headers, key=lambda header: _acquisition(header) or datetime.max)


def _scan(header: Any) -> datetime | None:
    """Time of the scan: that of the series, unless the series was made from an earlier acquisition."""
    times = _time(header.get('SeriesDate'), header.get('SeriesTime')), _acquisition(header)
    return min(filter(None, times), default=None)


def _acquisition(header: Any) -> datetime | None:
    return _time(header.get('AcquisitionDate') or header.get('SeriesDate'), header.get('AcquisitionTime'))


def _injection(header: Any, tracer: Any) -> datetime | None:
    full = str(tracer.get('RadiopharmaceuticalStartDateTime') or '')
    if full:
        return _time(full[:8], full[8:])
    return _time(header.get('SeriesDate') or header.get('AcquisitionDate'), tracer.get('RadiopharmaceuticalStartTime'))


def _time(date: Any, time: Any) -> datetime | None:
    """A time from DICOM's date `YYYYMMDD` and time `HHMMSS.FFFFFF`; None if one is missing or not valid."""
    digits = str(time or '').partition('.')[0].partition('+')[0].partition('-')[0]
    try:
        return datetime.strptime(f'{date}{digits:0<6}', '%Y%m%d%H%M%S') if digits else None
    except ValueError:
        return None
