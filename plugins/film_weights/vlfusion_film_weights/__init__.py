"""Weights of FILM (Zhao et al., ICML 2024), trained by vlfusion on public pairs. `models.toml` describes them."""
