"""The checker behind jaxtyping in the tests: beartype, with an int welcome where a float is asked for (PEP 484)."""

from beartype import BeartypeConf, beartype

checker = beartype(conf=BeartypeConf(is_pep484_tower=True))
