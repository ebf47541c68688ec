"""The page on which pairs, folders and volumes are fused in a browser: `vlfusion app`.

`page.py` builds the page with Gradio and `serve.py` opens it. The other modules do the work and know no Gradio, so the
functions behind each button can be called and tested alone.
"""
