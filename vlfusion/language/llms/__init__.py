"""LLMs: prompts in, paragraphs out. Registered in `LLMS`."""

from vlfusion.language.llms.answers import AnswersLLM
from vlfusion.language.llms.openai_llm import OpenAILLM
from vlfusion.language.llms.template import TemplateLLM
from vlfusion.language.llms.transformers_llm import TransformersLLM
from vlfusion.language.llms.vllm_llm import VLLMLLM

__all__ = ['AnswersLLM', 'OpenAILLM', 'TemplateLLM', 'TransformersLLM', 'VLLMLLM']
