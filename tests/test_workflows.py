"""Targets, extras, verbs and files that the workflows and forms under .github name."""

import configparser
import re
from pathlib import Path

import pytest
import yaml

from vlfusion.cli import VERBS

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / '.github').rglob('*.yml'))
WORKFLOWS = sorted((ROOT / '.github/workflows').glob('*.yml'))
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / 'setup.cfg')


def read(path: Path) -> dict:
    """A YAML file; the key `on` of a workflow is read as True."""
    return yaml.safe_load(path.read_text(encoding='utf-8'))


def commands(path: Path) -> str:
    """Everything that a workflow runs."""
    return '\n'.join(step['run'] for job in read(path)['jobs'].values() for step in job['steps'] if 'run' in step)


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_a_file_is_read_and_names_no_host(path):
    assert isinstance(read(path), dict)
    assert '://' not in path.read_text(encoding='utf-8'), 'clients know their hosts, and a mirror may stand in for one'


@pytest.mark.parametrize('path', WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_calls_what_exists(path):
    text = commands(path)
    targets = {*re.findall(r'^([\w-]+)(?: [\w-]+)*:', (ROOT / 'Makefile').read_text(), re.MULTILINE)}
    assert {*re.findall(r'\bmake ([\w-]+)', text)} <= targets
    extras = {extra for group in re.findall(r'\.\[([\w,-]+)\]', text) for extra in group.split(',')}
    assert extras <= {*SETUP['options.extras_require']}
    assert {*re.findall(r'\bvlfusion ([a-z][\w-]*)', text)} <= {*VERBS}
    places = re.findall(r'(?<!\S)(?:\./)?((?:plugins|tests|examples|docs|scripts)/[\w./-]*)', text)
    assert [place for place in places if not (ROOT / place).exists()] == []


@pytest.mark.parametrize('path', WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_pins_its_actions_ends_and_may_write_nothing(path):
    workflow = read(path)
    assert workflow['permissions'] == {'contents': 'read'} and {*workflow[True]} >= {'push', 'pull_request'}
    for job in workflow['jobs'].values():
        assert job['timeout-minutes'] <= 120
        assert all(re.fullmatch(r'[\w-]+/[\w-]+@v\d+', step['uses']) for step in job['steps'] if 'uses' in step)


def test_the_versions_of_python_are_those_of_the_metadata():
    [tests] = [read(path) for path in WORKFLOWS if path.stem == 'tests']
    classified = re.findall(r'Python :: (3\.\d+)', SETUP['metadata']['classifiers'])
    assert tests['jobs']['linux']['strategy']['matrix']['python'] == classified


@pytest.mark.parametrize('name', ['bug', 'number', 'request'])
def test_a_form_is_valid_and_asks_for_the_environment(name):
    form = read(ROOT / f'.github/ISSUE_TEMPLATE/{name}.yml')
    assert form['name'] and form['description']
    fields = [item for item in form['body'] if item['type'] != 'markdown']
    assert len({item['id'] for item in fields}) == len(fields)
    assert all(item['type'] == 'textarea' and item['attributes']['label'] for item in fields)
    required = {item['attributes']['label'] for item in fields if item.get('validations', {}).get('required')}
    assert name == 'request' or 'Output of `vlfusion env`' in required


def test_every_folder_of_the_updates_is_there():
    updates = read(ROOT / '.github/dependabot.yml')['updates']
    assert all((ROOT / update['directory'].strip('/')).is_dir() for update in updates)


def test_the_citation_has_what_a_reader_needs():
    citation = read(ROOT / 'CITATION.cff')
    assert {'cff-version', 'message', 'title', 'authors', 'version', 'license'} <= citation.keys()
    assert citation['license'] == SETUP['metadata']['license']
    assert citation['title'].lower() == f'vlfusion: {SETUP["metadata"]["description"].lower()}'
