"""Client for servers that speak OpenAI's chat protocol, with its keys and proxies."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'client': ['OPENAI_URL', 'BudgetError', 'Chat', 'ChatClient', 'ChatError', 'chat_client', 'check_options',
               'in_order'],
})
