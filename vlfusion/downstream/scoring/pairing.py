"""Pairing of predictions with labels, by the name of the image."""

from collections.abc import Collection

from vlfusion.errors import DataError, listing


def paired(predictions: Collection[str], labels: Collection[str]) -> list[str]:
    """Return the sorted names of the images, which must be the same on both sides.

    Raises:
        DataError: there is no image, or names differ; all are listed.
    """
    if not labels:
        raise DataError('There is no labelled image to score.', 'Check the folder of labels and its split.')
    predicted, labelled = {*predictions}, {*labels}
    faults = [f'{name}: no prediction' for name in sorted(labelled - predicted)]
    faults += [f'{name}: no label' for name in sorted(predicted - labelled)]
    if faults:
        raise DataError(f'Predictions and labels are not of the same images:\n{listing(faults)}',
                        'Predict every labelled image and no other, or name the images of the split. An image without '
                        'detections has an empty prediction.')
    return sorted(labelled)
