"""Write a trained checkpoint as the weights of a named model in plugins/film_weights, with the log of its training.

    python scripts/ship_weights.py film-mif work_dirs/film_mif_cooldown/iter_200.pth --after work_dirs/film_mif 870
    python scripts/ship_weights.py film-mif work_dirs/film_mif/iter_6000.pth

The weights become float16, half as many bytes. Nothing of the optimizer is kept.
"""

import argparse
import csv
import json
from pathlib import Path

from vlfusion.config import load_config
from vlfusion.engine.checkpoints import read_checkpoint
from vlfusion.engine.states import write_state
from vlfusion.errors import VLFusionError
from vlfusion.files import whole_file
from vlfusion.zoo.entries import Packaged, get_model


def losses(work_dir: Path, last: int) -> dict[int, float]:
    """Return the loss by step from all logs of a work_dir, up to a step. A resumed run repeats none."""
    logs = sorted(work_dir.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for log in logs for line in log.read_text(encoding='utf-8').splitlines()]
    return {line['step']: line['loss'] for line in lines if 'loss' in line and line['step'] <= last}


def main() -> None:
    """Write `NAME.safetensors` and `NAME.csv` where models.toml says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('name', help='name of the model in models.toml')
    parser.add_argument('checkpoint', type=Path, help='checkpoint of training')
    parser.add_argument('--after', nargs=2, metavar=('WORK_DIR', 'STEP'), action='append', default=[],
                        help='training from whose checkpoint the next one began, and the step of that checkpoint; '
                             'several in order')
    args = parser.parse_args()
    entry = get_model(args.name)
    source = entry.source
    if not isinstance(source, Packaged):
        raise VLFusionError(f'{args.name} has no file in a package.', 'Name a model such as film-mif.')
    checkpoint = read_checkpoint(args.checkpoint)
    steps = checkpoint['meta']['iter']
    before, log = 0, {}
    for work_dir, last in [*args.after, (args.checkpoint.parent, steps)]:
        log |= {before + step: loss for step, loss in losses(Path(work_dir), int(last)).items()}
        before += int(last)
    state = {name: tensor.half() if tensor.is_floating_point() else tensor
             for name, tensor in checkpoint['state_dict'].items() if not name.startswith('losses.')}
    kept = {key: checkpoint['meta'][key] for key in ('vlfusion', 'training', 'seed')
            if key in checkpoint['meta']}
    kept['dataset_meta'] = dict(name=load_config(entry.config).train_dataloader.dataset.name)
    write_state(source.path, state, {**kept, 'iter': before})
    with whole_file(source.path.with_suffix('.csv')) as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(['step', 'loss'])
        writer.writerows((step, f'{loss:.4f}') for step, loss in sorted(log.items()))
    print(f'{source.path}: {before} steps, {source.path.stat().st_size / 1e6:.2f} MB')


if __name__ == '__main__':
    main()
