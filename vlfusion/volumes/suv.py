"""Standardised uptake values of PET: the activity in tissue over the injected activity per gram of body.

    SUVbw = activity in Bq/ml * weight in g / injected dose in Bq, decayed to the time of the scan

Source: the vendor-neutral pseudo-code of QIBA's FDG-PET technical committee (RSNA), "Standardized Uptake Value (SUV)
computation", for units BQML.
"""

from datetime import datetime, timedelta
from typing import Any

#: Unit of values that were converted.
SUV = 'SUVbw'


def suv_factor(header: Any) -> tuple[float, str]:
    """Return the factor from stored values to SUV by body weight, and the reason if there is none.

    Args:
        header: `pydicom.Dataset` of a slice of a PET series.

    Returns:
        The factor and an empty string; or 1 and the reason that the header allows no SUV.
    """
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
    if scanned < injected:  # a time of day without a date, and a scan after midnight
        scanned += timedelta(days=1)
    seconds = (scanned - injected).total_seconds()
    if not 0 <= seconds < 24 * 3600:
        return 1., 'its times of injection and scan are more than a day apart'
    return weight * 1000 / (dose * 2 ** (-seconds / half_life)), ''


def _scan(header: Any) -> datetime | None:
    """Time of the scan: that of the series, unless the series was made from an earlier acquisition."""
    times = [_time(header.get(f'{what}Date') or header.get('SeriesDate'), header.get(f'{what}Time'))
             for what in ('Series', 'Acquisition')]
    return min(filter(None, times), default=None)


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
