"""Packages of vlfusion: those that are found, and configs/ as `vlfusion/configs`. All else is in setup.cfg."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=['vlfusion*']), 'vlfusion.configs'], package_dir={'vlfusion.configs': 'configs'})
