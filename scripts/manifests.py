"""Write the manifests of public data sets: each file's git blob id, its size, and its place under a data root.

    git clone --bare https://github.com/hanna-xu/RoadScene ROADSCENE.git
    python scripts/manifests.py hanna-xu/RoadScene=ROADSCENE.git Zhaozixiang1228/MMIF-CDDFuse=CDDFUSE.git

A set is written if all repositories that it needs are given. No image is read or written. The form of a manifest is
described in `vlfusion/zoo/manifest.py`, which reads it.
"""

import argparse
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
#: The commits that data sets are pinned to.
COMMITS = {
    'ECNU-MultiDimLab/Multi-Focus-Fusion': '196272ed7602b7a5773a8895ff0561810d48b507',
    'Zhaozixiang1228/IVIF-AUIF-Net': '8f54650ffbc0a9e655a0d4c6098751bedc319803',
    'Zhaozixiang1228/IVIF-DIDFuse': '5f287300dce7cbc90b9e08e6872455af6baa279f',
    'Zhaozixiang1228/MMIF-CDDFuse': 'fd8da1f39d8d403b7343e577bd5a30cba38c7b7b',
    'hanna-xu/RoadScene': 'ab71420f8fc96396eeb97eecf3694909b3feb656',
    'hanna-xu/U2Fusion': '0a5882140df67b3e0b588e1f2233e18cf944f1a4',
    'lmn-ning/ImageFusion': '87da96cb992253f1f65fcedca4d4999613ed37f3',
    'xianming-gu/Havard-Medical-Image-Fusion-Datasets': '984d169e8abd01baa130db3c5b9be3ba80191c1f',
    'xingchenzhang/MEFB': '9e185bf88de280b12a2d9a2ff12d66e40bc1ff91',
    'zhaolb4080/MTG-Fusion': '16ebd74d9a31e66859769debab3d1575bdcbd0f3'}


class Rules(NamedTuple):
    """Which files of a repository belong to a data set, and their places.

    Attributes:
        repo: the repository, `owner/name`.
        places: pairs of a regular expression of paths in the repository and the place under the data root; the first
            that fits decides. `{split}` in a place is empty for test pairs and `_train` for others.
        test: repository and folder with the files of the test pairs, if `{split}` is used.
        folder: folder of the manifest in this repository.
    """

    repo: str
    places: list[tuple[str, str]]
    test: tuple[str, str] = ('', '')
    folder: str = 'vlfusion/zoo/manifests'


SETS = {
    'TNO': Rules('Zhaozixiang1228/MMIF-CDDFuse', [(r'test_img/TNO/(ir|vi)/(.+)', r'ivf/TNO/\1/\2')]),
    # The test pairs are the fifty of CDDFuse, which are byte for byte files of this repository.
    'RoadScene': Rules(
        'hanna-xu/RoadScene', [(r'cropinfrared/(.+\.jpg)', r'ivf/RoadScene{split}/ir/\1'),
                               (r'crop_LR_visible/(.+\.jpg)', r'ivf/RoadScene{split}/vi/\1')],
        test=('Zhaozixiang1228/MMIF-CDDFuse', 'test_img/RoadScene/ir')),
    'CDDFuse-MIF': Rules('Zhaozixiang1228/MMIF-CDDFuse', [
        (r'test_img/MRI_(CT|PET|SPECT)/(MRI|CT|PET|SPECT)/(.+)', r'mif/MRI_\1/\2/\3')]),
    'Harvard': Rules('xianming-gu/Havard-Medical-Image-Fusion-Datasets', [
        (r'MyDatasets/((?:CT|PET|SPECT)-MRI/(?:train|test)/(?:MRI|CT|PET|SPECT)/.+)', r'mif/Harvard/\1')]),
    'MTG': Rules('zhaolb4080/MTG-Fusion', [
        (r'test_img/image/test_(\w+)/(ir|vi|MRI|CT|PET|SPECT)/(.+)', r'MTG/\1/\2/\3'),
        (r'test_img/text/test_(\w+)/text_\w+_common/(.+)', r'MTG/\1/text/common/\2'),
        (r'test_img/text/test_(\w+)/text_\w+_GT/(.+)', r'MTG/\1/text/ideal/\2'),
        (r'test_img/text/test_(\w+)/text_([a-z]+)unique/(.+)', r'MTG/\1/text/\2_unique/\3'),
        (r'test_img/text/test_(\w+)/text_([a-z]+)/(.+)', r'MTG/\1/text/\2/\3')]),
    # Three files are spelt unlike their partner.
    'MEFB': Rules('xingchenzhang/MEFB', [
        (r'input/Farmhouse/FarmHouse_B\.png', 'mef/MEFB/Farmhouse/Farmhouse_B.png'),
        (r'input/Lighthouse/Lighthouse_a\.png', 'mef/MEFB/Lighthouse/Lighthouse_A.png'),
        (r'input/Sky/sKY_a\.png', 'mef/MEFB/Sky/Sky_A.png'),
        (r'input/([^/]+)/((?i:\1)_[AB]\.\w+)', r'mef/MEFB/\1/\2')]),
    'U2Fusion': Rules('hanna-xu/U2Fusion', [
        (r'test_imgs/multi-exposure/dataset1/oe/(.+)', r'mef/U2Fusion/over/\1'),
        (r'test_imgs/multi-exposure/dataset1/ue/(.+)', r'mef/U2Fusion/under/\1'),
        (r'test_imgs/multi-exposure/dataset2/oe/(.+)', r'mef/U2Fusion/over/1\1'),
        (r'test_imgs/multi-exposure/dataset2/ue/(.+)', r'mef/U2Fusion/under/1\1')]),
    'Lytro': Rules('ECNU-MultiDimLab/Multi-Focus-Fusion', [
        (r'VLFDataset/Image/MFF/Lytro/NEAR/(.+)', r'mff/Lytro/near/\1'),
        (r'VLFDataset/Image/MFF/Lytro/FAR/(.+)', r'mff/Lytro/far/\1'),
        (r'VLFDataset/Text/MFF/Lytro/NEAR/(.+)', r'mff/Lytro/text/near/\1'),
        (r'VLFDataset/Text/MFF/Lytro/FAR/(.+)', r'mff/Lytro/text/far/\1')]),
    'Real-MFF': Rules('ECNU-MultiDimLab/Multi-Focus-Fusion', [
        (r'VLFDataset/Image/MFF/RealMFF/NEAR/(.+)', r'mff/RealMFF/near/\1'),
        (r'VLFDataset/Image/MFF/RealMFF/FAR/(.+)', r'mff/RealMFF/far/\1'),
        (r'VLFDataset/Text/MFF/RealMFF/NEAR/(.+)', r'mff/RealMFF/text/near/\1')]),
    'NYU-D': Rules('lmn-ning/ImageFusion', [
        (r'FusionDiff/Dataset/Multi-Focus-Images/train/NYU-D-100/(source_1|source_2|full_clear)/NYU-D \((\d+)\)(\.jpg)',
         r'mff/NYU-D/\1/nyu_\2\3')]),
    'FLIR-AUIF': Rules('Zhaozixiang1228/IVIF-AUIF-Net', [(r'Datasets/(\w+_FLIR/.+)', r'ivf/AUIF/\1')],
                       folder='plugins/auif/vlfusion_auif/manifests'),
    'FLIR-DIDFuse': Rules('Zhaozixiang1228/IVIF-DIDFuse', [(r'Datasets/(\w+_FLIR/.+)', r'ivf/DIDFuse/\1')],
                          folder='plugins/didfuse/vlfusion_didfuse/manifests'),
}


def list_tree(git: Path, repo: str) -> dict[str, tuple[str, str]]:
    """Return blob id and size of every file of the pinned commit, by path."""
    command = ['git', f'--git-dir={git}', 'ls-tree', '-r', '-z', '-l', COMMITS[repo]]
    entries = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split('\0')
    tree = {}
    for entry in filter(None, entries):
        facts, path = entry.split('\t', 1)
        _, _, blob, size = facts.split()
        tree[path] = blob, size
    return tree


def choose_place(path: str, rules: Rules, test: set[str]) -> str | None:
    """Return a file's place under the data root, or None if it does not belong to the set."""
    for pattern, place in rules.places:
        if match := re.fullmatch(pattern, path):
            return match.expand(place).replace('{split}', '' if path.rpartition('/')[2] in test else '_train')
    return None


def write_manifest(name: str, trees: dict[str, dict[str, tuple[str, str]]]) -> int:
    """Write the manifest of a set, and return the number of its files."""
    rules = SETS[name]
    other, folder = rules.test
    test = {path.rpartition('/')[2] for path in trees.get(other, {}) if path.startswith(f'{folder}/')}
    tree = trees[rules.repo]
    chosen = sorted((place, path) for path in tree if (place := choose_place(path, rules, test)))
    lines, current = [f'repository\t{rules.repo}\t{COMMITS[rules.repo]}'], None
    for place, path in chosen:
        (source, _, file), (target, _, new) = path.rpartition('/'), place.rpartition('/')
        if (source, target) != current:
            current = source, target
            lines.append(f'folder\t{source}\t{target}')
        lines.append('\t'.join([*tree[path], file, *([new] if new != file else [])]))
    path = ROOT / rules.folder / f'{name}.tsv'
    path.parent.mkdir(exist_ok=True)
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
    return len(chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('repositories', nargs='+', metavar='OWNER/NAME=GIT_DIR')
    given = dict(word.split('=', 1) for word in parser.parse_args().repositories)
    trees = {repo: list_tree(Path(git), repo) for repo, git in given.items()}
    for name, rules in SETS.items():
        if {rules.repo, rules.test[0]} - {''} <= trees.keys():
            print(f'{name}: {write_manifest(name, trees)} files')


if __name__ == '__main__':
    main()
