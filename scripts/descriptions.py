"""Compare the paragraphs of a text store with published ones of the same images, and print a Markdown table.

    python scripts/descriptions.py CONFIG [CONFIG ...] --texts data/mff/Lytro/text

The test pairs of CONFIG must be described. The folder has a subfolder for each source, in upper or lower case, with
files `<pair>.txt`, as in the VLF data set. The table shows for the paragraphs:

- the number of words, and the share of paragraphs that are identical to another image's;
- the share of the published content words (`vlfusion.language.vocabulary.content_words`) that they contain, beside
  the same share for the texts published for other images;
- the cosine between the means of the token features, and the number of images whose own published paragraph is the
  nearest of all. By chance this is one image.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from vlfusion.config import load_config
from vlfusion.data.exchange import FOLDERS
from vlfusion.data.from_config import find_datasets
from vlfusion.language.audit import check, summary
from vlfusion.language.lookup import Records
from vlfusion.language.pipeline import DescriptionPipeline
from vlfusion.language.subjects import subjects_of
from vlfusion.language.vocabulary import content_words

HEAD = ('description', 'words', 'same as another', 'goes in circles', 'cut', 'of the published content words',
        'of those of other images', 'cosine', 'with other images', 'own is nearest')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+', metavar='CONFIG')
    parser.add_argument('--texts', required=True, metavar='DIR')
    args = parser.parse_args()
    print('|'.join(['', *(f' {title} ' for title in HEAD), '']))
    print('|---' * len(HEAD) + '|')
    for path in args.configs:
        config = load_config(path, None)
        [(_, dataset)] = find_datasets(config, ['test'])
        images = [image for pair in dataset.pairs for image in subjects_of([pair], of_pairs=True)[0].images]
        published = [_published(Path(args.texts), folder, pair.name) for pair in dataset.pairs
                     for folder in FOLDERS[dataset.task.name]]
        records = Records(config.language)
        ours = [records.described('', image) for image in images]
        encoder = DescriptionPipeline(config.language).encoder
        print(_row(f'`{Path(path).stem}`', ours, published, encoder))
        twins = Counter(published)
        lengths = [len(text.split()) for text in published]
    print(f'\nPublished: {np.mean(lengths):.0f} words ({min(lengths)} to {max(lengths)}), '
          f'{sum(count for count in twins.values() if count > 1)} of {len(published)} the same as another.')


def _published(root: Path, folder: str, name: str) -> str:
    source, = (entry for entry in root.iterdir() if entry.name.upper() == folder)
    return (source / f'{name}.txt').read_text(encoding='utf-8').strip()


def _row(title: str, ours: list, published: list[str], encoder) -> str:
    counts = summary(check(ours))['']
    ours = [description.text for description in ours]
    own_words, published_words = ([set(content_words(text)) for text in texts] for texts in (ours, published))
    shared = np.array([[len(a & b) / len(b) for b in published_words] for a in own_words])
    cosine = np.array(_directions(ours, encoder)) @ np.array(_directions(published, encoder)).T
    others = ~np.eye(len(ours), dtype=bool)
    nearest = cosine.argmax(1) == np.arange(len(ours))
    number = len(ours)
    return '|'.join(['', *(f' {cell} ' for cell in (
        title, f'{counts["words"]:.0f}', *(f'{counts[name] / number:.0%}' for name in ('duplicate', 'loop', 'cut')),
        f'{shared.diagonal().mean():.1%}', f'{shared[others].mean():.1%}',
        f'{cosine.diagonal().mean():.3f}', f'{cosine[others].mean():.3f}', f'{nearest.sum()} of {number}')), ''])


def _directions(texts: list[str], encoder) -> list[np.ndarray]:
    encoded = encoder.encode(texts)
    means = [rows[mask].mean(0).numpy() for rows, mask in zip(encoded.features, encoded.mask, strict=True)]
    return [mean / np.linalg.norm(mean) for mean in means]


if __name__ == '__main__':
    main()
