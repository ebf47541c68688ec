"""Measured facts, written up by a program: a recipe of words for `--words words.py`."""

_base_ = ['vlfusion::_base_/language/measured.py']
custom_imports = dict(imports=['command_llm'])
language = dict(llm=dict(_delete_=True, type='CommandLLM', command='ollama run llama3.2'))
