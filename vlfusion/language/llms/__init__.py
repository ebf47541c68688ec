"""LLMs: prompts in, paragraphs out. Registered in `LLMS`."""

from vlfusion.language.llms.template import TemplateLLM

__all__ = ['TemplateLLM']
