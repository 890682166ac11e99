"""The pages: what happens to every study, in plain words. Rendered here, nothing loaded from elsewhere.

Who asks for one module here, as `wetread study list` does, does not load the whole application: it is in `app`.
"""
