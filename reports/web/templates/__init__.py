"""The pages as Jinja templates. A package, so that an installation carries them."""
